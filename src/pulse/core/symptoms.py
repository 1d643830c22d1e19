"""What `pulse doctor` is told: of the machine, whether a node runs or not, and of the node, if one does.

Invariant: these are facts as they were found; what is wrong with them is for `core/doctor.py` to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What anybody can see who may read the node's files. None stands for what could not be seen."""

    data_dir: str
    version: str = ""
    """Of the pulse that looks."""
    closed: str = ""
    """Why the node's files cannot be looked at at all; empty if they can."""
    state_problem: str = ""
    """Why a node would not start on the data directory, in its own words."""
    member: bool = False
    config_problem: str = ""
    holder: int = 0
    """The process that has the data directory; 0 for none."""
    silence: str = ""
    """Why the process that has the data directory does not answer; empty if it does, or nobody has it."""
    port: int = 0
    port_problems: Sequence[str] = ()
    """Why a node would not get its port, each in two lines: what is so, and what to do."""
    tun_wanted: bool = False
    tun_problem: str = ""
    """Why /dev/net/tun cannot be used."""
    may_configure: bool | None = None
    """CAP_NET_ADMIN, of the node if one runs, else of whoever looks."""
    socket_bytes: int | None = None
    """What the kernel gives a UDP socket at most."""
    mtus: Mapping[str, int] | None = None
    """By interface through which others are reached."""
    unresolved: Sequence[tuple[str, str]] = ()
    """Names in the settings that have no address, and why."""
    dropping: Sequence[str] | None = None
    """Firewall rules that drop UDP on its way to our port."""
    disk_free: int | None = None
    """Bytes."""
    disk_problem: str = ""
    """Why a file cannot be written to the data directory."""
    route_conflict: str = ""
    journal_problem: str = ""
    wall: float = 0.0
    """Seconds since 1970."""
    certificate_from: float | None = None
    certificate_until: float | None = None
    open_files: int | None = None
    """Files that the node may have open at once."""
    refusing: bool = False
    """No node runs, and one that did keeps packets from going where exits led."""
    left: Sequence[str] = ()
    """What a node that is gone set on this machine and had no time to put back."""
    forwarding: Mapping[int, bool] = field(default_factory=dict)
    """By version of IP whether the kernel forwards."""
    exit_table: bool | None = None
    """The firewall of an exit is there."""
    exit_holder: str = ""
    """Which process is the exit of this machine, in its own words; empty if none is."""
    undo_problem: str = ""
    """Why nobody can tell what is to be put back on this machine."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A place that a person named and that is not reached."""

    address: str
    name: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What the node that runs knows of itself."""

    version: str = ""
    certificate_left: float = 0.0
    certificate_life: float = 0.0
    late: Sequence[tuple[str, float]] = ()
    """Other nodes whose certificates should have been renewed, which somebody here can see to, and the seconds left."""
    revoked: bool = False
    clock_offset: float = 0.0
    """Our clock minus the neighbours' median."""
    nat: str = "unknown"
    port_mapped: bool = False
    links: int = 0
    udp_links: int = 0
    missing: Sequence[Missing] = ()
    cut_off: bool = False
    """Somebody is missing, and no interface of this machine is up: so nobody else is to blame."""
    cas: Mapping[str, bool] | None = None
    """Certificate authorities by name, and whether each is reached; None where this node is one."""
    scribe: str = ""
    """Name of the scribe; empty if there is none, or this node is it."""
    scribe_reached: bool = False
    scribe_problem: str = ""
    """Why it is not the scribe it was started to be."""
    rotation_problem: str = ""
    """On the CA: why its key is not replaced further, in two lines."""
    tun_problem: str = ""
    """Why its device has no mesh addresses; empty if it has, or nobody wants one."""
    resolver_problem: str = ""
    """Why this machine does not ask it for names, though a person wants that."""
    versions: Mapping[str, str] | None = None
    """Of other nodes, by name."""
    alarms: Sequence[str] = ()
    """Keys, numbers and addresses that were used twice in the last day."""
    not_kept: str = ""
    """Why the journal is not written."""
    in_clear: Mapping[str, str] = field(default_factory=dict)
    """Where it listens for its API so that keys cross a network in clear, by the flag that says so."""
    v4: str = ""
    """Its mesh address."""
    log_lost: int = 0
    """Lines of the log that a slow or full disk cost."""
    exits_problem: str = ""
    """Why the machine's packets do not go through exits as they should, in two lines."""
    ranges_refused: Sequence[str] = ()
    """Approved ranges that no exit carries."""
    bypasses: Sequence[str] = ()
    """Routes of the machine by which packets for the Internet go past the exit in use, as `ip route` takes them."""
    left: str = ""
    """What an earlier run may have left, if nobody can tell, in two lines."""
    exit_versions: Sequence[int] = ()
    """Versions of IP of the approved ranges behind this node."""
    exit_problem: str = ""
    """Why not all get out through it whose ranges are approved, in two lines."""


@dataclass(frozen=True, slots=True)
class Symptoms:
    """All of it."""

    machine: Machine
    running: Running | None = None
