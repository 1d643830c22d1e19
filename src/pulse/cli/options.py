"""The flags of a node, declared once for `pulse`, `pulse start` and `pulse join`.

Invariant: a flag here is a setting of `pulse.flags`; what was not typed is None and decides nothing.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Config = Annotated[Path | None, Parameter(help="TOML file with settings; flags and PULSE_… variables go before it.")]
NodeDir = Annotated[str | None, Parameter(help="Where the node keeps its state (~/.pulse; for root /var/lib/pulse).")]
Network = Annotated[str | None, Parameter(help="Name of the network; one that differs from what is joined is refused.")]
Token = Annotated[
    str | None, Parameter(help="Join token, or - to read it from standard input.", allow_leading_hyphen=True)
]
TokenFile = Annotated[str | None, Parameter(help="File that holds the join token, or -.", allow_leading_hyphen=True)]
LogLevel = Annotated[Literal["debug", "info", "warn", "error"] | None, Parameter(help="How much is logged (info).")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFlags:
    """What can be said of a node that is started."""

    config: Config = None
    data_dir: NodeDir = None
    addr: Annotated[str | None, Parameter(help="Address told to others, host:port (:8443).")] = None
    listen: Annotated[str | None, Parameter(help="Address to bind, [host]:port (the same as --addr).")] = None
    network: Network = None
    join: Annotated[str | None, Parameter(help="Node to join through if this machine is no member yet.")] = None
    token: Token = None
    token_file: TokenFile = None
    log_level: LogLevel = None
    ca: Annotated[bool | None, Parameter(help="Be the CA, which lets machines in; makes the network at first.")] = None
    ca_token: Annotated[
        str | None, Parameter(help="Token the CA accepts from everybody (--token).", allow_leading_hyphen=True)
    ] = None
    force_time: Annotated[bool | None, Parameter(help="Let the CA sign although its clock leapt.")] = None
    scribe: Annotated[bool | None, Parameter(help="Be the scribe, which signs the network config.")] = None
    scribe_listen: Annotated[
        str | None, Parameter(help="HTTP API of a node with --scribe: host:port, or off (127.0.0.1:8080).")
    ] = None
    metrics_listen: Annotated[
        str | None, Parameter(help="Metrics for Prometheus: [host]:port; off loopback they take a key (off).")
    ] = None
    tun: Annotated[bool | None, Parameter(help="Make a network interface with the mesh addresses (Linux).")] = None
    tun_queues: Annotated[int | None, Parameter(help="Queues of the interface, 1 to 16 (1).")] = None
    exit: Annotated[bool | None, Parameter(help="Let others reach ranges beyond the mesh through this node.")] = None
    exit_cidrs: Annotated[
        str | None, Parameter(help="Those ranges, with commas between (0.0.0.0/0 is the public Internet).")
    ] = None
    use_exits: Annotated[
        bool | None, Parameter(negative="--no-use-exits", help="Reach approved ranges through other nodes (yes).")
    ] = None
    fec: Annotated[bool | None, Parameter(help="Send parity where packets get lost, to peers that have --fec too.")] = (
        None
    )
    socks: Annotated[bool | None, Parameter(help="Be a SOCKS5 and HTTP CONNECT proxy for programs here.")] = None
    socks_listen: Annotated[str | None, Parameter(help="Where it listens, [host]:port (127.0.0.1:1080).")] = None
    dns: Annotated[bool | None, Parameter(help="Answer DNS for names under .pulse.")] = None
    dns_listen: Annotated[str | None, Parameter(help="Address of the DNS server, host:port (127.0.0.1:5353).")] = None
    tcp: Annotated[
        str | None, Parameter(help="Tunnel listener, [host]:port (off; without a value 127.0.0.1:7000).")
    ] = None
    beacon: Annotated[
        bool | None, Parameter(negative="--no-beacon", help="Find members on the same LAN by multicast (yes).")
    ] = None
    birthday: Annotated[
        bool | None, Parameter(help="Guess ports of symmetric NATs, with peers that have --birthday too.")
    ] = None
    mesh_cidr: Annotated[str | None, Parameter(help="IPv4 range of a new network (10.100.0.0/16).")] = None
    portmap: Annotated[
        bool | None, Parameter(negative="--no-portmap", help="Ask the router to pass on a port to this node (yes).")
    ] = None

    def given(self) -> dict[str, object]:
        """Value by flag, as `settings.load` takes them: only what was typed, without --config."""
        values = {field.name.replace("_", "-"): getattr(self, field.name) for field in fields(self)}
        return {flag: value for flag, value in values.items() if value is not None and flag != "config"}
