"""The settings of a node: one frozen value, and what follows from it.

Where settings come from is the business of `settings.py`. Invariant: what people see of a NodeConfig holds no secret.
"""

import os
from collections.abc import Collection
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from pulse.core import addresses
from pulse.core.network.ranges import mesh_range
from pulse.errors import ConfigError

DEFAULT_PORT: Final = 8443
DEFAULT_API: Final = ("127.0.0.1", 8080)
DEFAULT_DNS: Final = ("127.0.0.1", 5353)
LOOPBACK: Final = "127.0.0.1"
OFF: Final = "off"
SERVICE_DATA_DIR: Final = Path("/var/lib/pulse")
SERVICE_CONFIG: Final = Path("/etc/pulse-mesh/config.toml")
SERVICE_SOCKET: Final = Path("/run/pulse/pulse.sock")
SOCKET_NAME: Final = "pulse.sock"
TUNNEL_NAME: Final = "tunnel.sock"
DEFAULT_TUNNELS: Final = "127.0.0.1:7000"

DAY: Final = 86400.0

LOGIN_LIMIT: Final = 255
"""Bytes of a user's name, and of a password, in SOCKS5 (RFC 1929)."""

LOGS_LIMIT: Final = 20_000_000_000
"""Bytes that all log files of a node may come to."""

HIDDEN: Final = "(hidden)"

LogLevel = Literal["debug", "info", "warn", "error"]
LogFormat = Literal["text", "json"]

CHANGED_FROM_AFAR: Final = (
    "node.log_level",
    "node.log_format",
    "node.log_bytes",
    "node.log_files",
    "bootstrap.peers",
    "bootstrap.dns_domain",
    "tun.fec",
    "tun.queues",
    "portmap.enabled",
    "beacon.enabled",
    "nat.birthday",
    "persist.enabled",
    "persist.interval",
)
"""Settings that a node may let operators change: none by which it would get more rights, other files, or be gone."""

_SECRETS: Final = frozenset({"token", "invite", "join_token", "tcp_token", "password"})


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the sections: unknown keys are errors, and secrets don't show."""

    def __repr__(self) -> str:
        values = msgspec.structs.asdict(self)
        shown = (f"{key}={HIDDEN if value and key in _SECRETS else repr(value)}" for key, value in values.items())
        return f"{type(self).__name__}({', '.join(shown)})"


class Node(Section, frozen=True):
    """Where the node is and what it is called."""

    addr: str = f":{DEFAULT_PORT}"
    """Advertised `host:port`; without a host the addresses of this machine are advertised."""
    listen: str = ""
    """`[host]:port` to bind; the same as `addr` if left out."""
    name: str = ""
    """Name to ask for when joining; this machine's host name if left out."""
    data_dir: str = ""
    network_id: str = ""
    log_level: LogLevel = "info"
    """How much is logged: debug, info, warn or error."""
    log_format: LogFormat = "text"
    """text or json."""
    tcp_listen: str = ""
    """`[host]:port` of the tunnel listener; none if left out, or `off`."""
    tcp_token: str = ""
    """What callers of it show; needed where others than this machine can connect."""
    tcp_token_file: str = ""
    """A file that holds that token."""
    reverse_forwards: bool = False
    """Listen on loopback for nodes that ask for it (`pulse forward --reverse`), as far as the rules let them."""
    serve_programs: bool = True
    """Programs of this machine may have ports of this node lead to them (the SDK's `start_server`)."""
    lead_here: bool = True
    """Streams of others lead to what listens on this machine; without it to such programs alone."""
    log_bytes: Annotated[int, msgspec.Meta(ge=1_000, le=10_000_000_000)] = 10_000_000
    """Bytes after which a node in the background begins a new log file."""
    log_files: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    """Log files it keeps, the one it writes among them."""


class Bootstrap(Section, frozen=True):
    """Whom to dial first."""

    peers: tuple[str, ...] = ()
    """`host:port` each; the same as the words after the flags."""
    dns_domain: str = ""
    """Its TXT records of `_pulse.<domain>` name relays."""


class Join(Section, frozen=True):
    """How to join at the first start."""

    relay_addr: str = ""
    token: str = ""
    token_file: str = ""
    """A file that holds that token."""
    invite: str = ""
    """A `pls_` code: stands for address, network and token."""


class Ca(Section, frozen=True):
    """The certificate authority."""

    enabled: bool = False
    join_token: str = ""
    force_time: bool = False
    """Sign although the clock leapt by more than 7 days."""
    cert_life: Annotated[float, msgspec.Meta(ge=10, le=3650 * DAY)] = 90 * DAY
    """Seconds that a node's certificate is good for; tests have short ones."""


class Scribe(Section, frozen=True):
    """The network config authority, and its API over TCP."""

    enabled: bool = False
    listen: str = ""
    """`[host]:port` of the API; 127.0.0.1:8080 if left out, `off` for none."""
    hosts: tuple[str, ...] = ()
    """Further names and addresses by which people reach the API: behind a proxy, or on another machine."""


class Metrics(Section, frozen=True):
    """Metrics for monitoring, on a listener of their own."""

    listen: str = ""
    """`[host]:port`, without a host on loopback; none if left out or `off`."""


class Tun(Section, frozen=True):
    """The TUN device."""

    enabled: bool = False
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,15}$")] = "pulse0"
    """What the interface is called."""
    cidr: str = ""
    """Mesh range, chosen where the network is made."""
    queues: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    fec: bool = False
    """Send parity where packets get lost, to peers that do so too."""


class Socks(Section, frozen=True):
    """The SOCKS5 and HTTP CONNECT proxy for programs of this machine."""

    enabled: bool = False
    listen: str = "127.0.0.1:1080"
    """`[host]:port`; on anything but loopback a login is wanted."""
    user: Annotated[str, msgspec.Meta(max_length=LOGIN_LIMIT)] = ""
    """Login that programs have to show; none is wanted if left out."""
    password: Annotated[str, msgspec.Meta(max_length=LOGIN_LIMIT)] = ""
    """Of that login."""
    password_file: str = ""
    """A file that holds that password."""


class DnsService(Section, frozen=True):
    """Something that listens here at a TCP port, by the name it is looked up by."""

    name: str
    """As registered services are called: postgres, http."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    priority: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Where several nodes announce it, clients try the lowest first."""


class Dns(Section, frozen=True):
    """The DNS server for names under `.pulse`, and what this node announces there."""

    enabled: bool = False
    listen: str = ""
    """`[host]:port`, UDP and TCP; 127.0.0.1:5353 if left out."""
    service: tuple[DnsService, ...] = ()
    """A table `[[dns.service]]` each, with `name`, `port`, `priority` (0); announced without the server, too."""


class Portmap(Section, frozen=True):
    """The port that the router is asked for."""

    enabled: bool = True


class Persist(Section, frozen=True):
    """The table of known peers, kept for a quick restart."""

    enabled: bool = True
    """Keep it on disk."""
    interval: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 2.0
    """Seconds that a change may wait for others before it is written, so that a mass join writes once."""


class Beacon(Section, frozen=True):
    """The beacons by which members on one LAN find each other without the Internet."""

    enabled: bool = True


class Nat(Section, frozen=True):
    """The way through NATs."""

    birthday: bool = False
    """Probe many ports where nothing else opens a hole, with peers that allow it too."""


class Exit(Section, frozen=True):
    """Ranges beyond the mesh that others may reach through this node, and those it reaches through others."""

    enabled: bool = False
    cidrs: tuple[str, ...] = ()
    """Ranges offered; nobody uses one before it is approved."""
    routes_file: str = ""
    """A file of further ranges to offer, one a line."""
    use: bool = True
    """Send what is for approved ranges of others through them, if there is a TUN device."""


class Control(Section, frozen=True):
    """The control API."""

    socket: str = ""
    """Where it listens; `pulse.sock` in the data directory, of a service /run/pulse/pulse.sock."""


class Remote(Section, frozen=True):
    """What operators may do to this node from another one; nothing, unless it is said here."""

    restart: bool = False
    """Let operators restart this node."""
    config: tuple[str, ...] = ()
    """Settings they may change, such as `node.log_level`."""


class NodeConfig(Section, frozen=True):
    """Every setting of a node."""

    node: Node = Node()
    bootstrap: Bootstrap = Bootstrap()
    join: Join = Join()
    ca: Ca = Ca()
    scribe: Scribe = Scribe()
    metrics: Metrics = Metrics()
    tun: Tun = Tun()
    dns: Dns = Dns()
    socks: Socks = Socks()
    portmap: Portmap = Portmap()
    persist: Persist = Persist()
    beacon: Beacon = Beacon()
    nat: Nat = Nat()
    exit: Exit = Exit()
    control: Control = Control()
    remote: Remote = Remote()

    def __repr__(self) -> str:
        """Names the data directory only: tokens must not reach a log."""
        return f"NodeConfig({self.data_dir})"

    @property
    def data_dir(self) -> Path:
        """Where the node keeps its state; absolute."""
        return absolute(self.node.data_dir) if self.node.data_dir else default_data_dir()

    @property
    def identity_dir(self) -> Path:
        """Key and certificate; it exists once this machine is a member."""
        return self.data_dir / "identity"

    @property
    def relays(self) -> tuple[str, ...]:
        """Whom to join through and to dial first, `host:port` each."""
        named = (self.join.relay_addr, *self.bootstrap.peers) if self.join.relay_addr else self.bootstrap.peers
        return tuple(dict.fromkeys(named))

    @property
    def ca_token(self) -> str:
        """The master token the CA is told to accept: `--ca-token`, else `--token`; empty if none was."""
        return self.ca.join_token or self.join.token

    @property
    def mesh_range(self) -> IPv4Network | None:
        """The mesh's range, if one was asked for."""
        return mesh_range(self.tun.cidr, "tun.cidr") if self.tun.cidr else None

    @property
    def socket(self) -> Path:
        """Where the control API listens."""
        return absolute(self.control.socket) if self.control.socket else socket_in(self.data_dir)

    @property
    def tunnel_socket(self) -> Path:
        """Where programs of this machine ask for streams."""
        return tunnel_beside(self.socket)

    @property
    def tcp_listen(self) -> tuple[str, int] | None:
        """Host (empty: all addresses) and port of the tunnel listener; None if there is to be none."""
        if self.node.tcp_listen in ("", OFF):
            return None
        return split(self.node.tcp_listen, "node.tcp_listen")

    @property
    def listen(self) -> tuple[str, int]:
        """Host (empty: all addresses) and port to bind: `listen`, else `addr`, whose name may be another machine's."""
        if self.node.listen:
            return split(self.node.listen, "node.listen")
        host, port = self.advertised
        return (host if addresses.is_ip(host) else ""), port

    @property
    def scribe_listen(self) -> tuple[str, int] | None:
        """Host (empty: all addresses) and port of the API over TCP; None if there is to be none."""
        if not self.scribe.enabled or self.scribe.listen == OFF:
            return None
        return split(self.scribe.listen, "scribe.listen") if self.scribe.listen else DEFAULT_API

    @property
    def socks_listen(self) -> tuple[str, int]:
        """Host (empty: all addresses) and port of the SOCKS proxy."""
        return split(self.socks.listen, "socks.listen")

    @property
    def dns_listen(self) -> tuple[str, int]:
        """Host (empty: all addresses) and port of the DNS server."""
        return split(self.dns.listen, "dns.listen") if self.dns.listen else DEFAULT_DNS

    @property
    def metrics_listen(self) -> tuple[str, int] | None:
        """Host and port of the metrics' own listener; None if there is to be none."""
        if self.metrics.listen in ("", OFF):
            return None
        host, port = split(self.metrics.listen, "metrics.listen")
        return host or LOOPBACK, port

    def in_clear(self, own: Collection[str]) -> dict[str, str]:
        """Where keys of the API go in clear, by the flag that says so; `own` are the node's mesh addresses."""
        doors = {"--scribe-listen": self.scribe_listen, "--metrics-listen": self.metrics_listen}
        return {
            flag: addresses.join(door[0] or "0.0.0.0", door[1])  # noqa: S104 (shown, not listened on)
            for flag, door in doors.items()
            if door and not addresses.is_sealed(door[0], own)
        }

    @property
    def advertised(self) -> tuple[str, int]:
        """Host (empty: this machine's addresses) and port others are told."""
        return split(self.node.addr, "node.addr")


def default_data_dir() -> Path:
    """`~/.pulse`; for root /var/lib/pulse, whatever HOME sudo left."""
    return SERVICE_DATA_DIR if os.geteuid() == 0 else Path.home() / ".pulse"


def socket_in(data_dir: Path) -> Path:
    """The control socket of the node that lives in `data_dir`; a service's is where every user finds it."""
    return SERVICE_SOCKET if data_dir == SERVICE_DATA_DIR else data_dir / SOCKET_NAME


def tunnel_beside(control: Path) -> Path:
    """The socket for tunnels of the node that is controlled there; two nodes never share one."""
    return control.with_name(TUNNEL_NAME if control.name == SOCKET_NAME else f"{control.stem}.{TUNNEL_NAME}")


def split(address: str, path: str) -> tuple[str, int]:
    """Host (may be empty) and port of an address; raises ConfigError that names `path`."""
    try:
        return addresses.split(address)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def absolute(path: str) -> Path:
    """The path without `~` and `.`; symbolic links stay as people typed them."""
    return Path(os.path.abspath(os.path.expanduser(path)))
