"""What every act of the demo stands on: the hosts, what was found so far, and how nodes are asked.

Invariant: an act tells what it found by the outcome, and gives up with an error rather than go on with less.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from pulse.errors import NotFound
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from pulse.lab.stream import Stream
from pulse.schemas.node import PeerRow, Status

PORT: Final = 8443


class Outcome(msgspec.Struct):
    """What the demo found; `ok` only if all of it is as it should be."""

    ok: bool = False
    hash_equal: bool = False
    wrong_token_refused: bool = False
    token_reuse_refused: bool = False
    stranger_refused: bool = False
    clean: bool = False
    raw_gbit: float = 0.0
    mesh_gbit: float = 0.0
    ping_ms: float = 0.0
    join_s: float = 0.0
    seconds: float = 0.0
    relay_ping: bool = False
    relay_ping_ms: float = 0.0
    canary_absent: bool = False
    direct_after_join: bool = False
    direct_survives_relay_kill: bool = False


class Report(Protocol):
    """Where the story is told."""

    def begins(self, number: int, title: str) -> None:
        """A step begins."""
        ...

    def ends(self, number: int, title: str, figure: str, command: str) -> None:
        """A step is done: what came of it, and the command that showed it."""
        ...


@dataclass(slots=True)
class Scene:
    """The hosts, and what was found so far."""

    lab: Lab
    outcome: Outcome = field(default_factory=Outcome)
    token: str = ""
    stream: Stream | None = None
    """A transfer that goes on from act to act."""

    @property
    def relay(self) -> Host:
        """The first node: CA of the mesh, and the only one that all others reach."""
        return self.lab["relay"]

    @property
    def laptop(self) -> Host:
        """The node that joins first."""
        return self.lab["laptop"]

    @property
    def server(self) -> Host:
        """The node that joins next, on a network of its own."""
        return self.lab["server"]

    @property
    def stranger(self) -> Host:
        """A machine that does not belong."""
        return self.lab["stranger"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what a reader is told, and what is done; it returns its figure and the command that showed it."""

    title: str
    act: Callable[[Scene], tuple[str, str]]


def status(host: Host) -> Status:
    """What the node of a host says of the mesh."""
    return msgspec.json.decode(host.pulse("status", "--json").stdout, type=Status)


def seen_by(host: Host, name: str) -> PeerRow:
    """How the node of a host sees another. Raises NotFound."""
    for row in status(host).peers:
        if row.name == name:
            return row
    raise NotFound(f"the node of {host.name} knows no {name}")


def sees(host: Host, name: str) -> bool:
    """True if the node of a host has a path to another."""
    return any(row.name == name and row.reached for row in status(host).peers)


def ping(host: Host, address: str) -> float:
    """Average round trip of five pings in milliseconds. Raises PulseError if none is answered."""
    said = host.run(["ping", "-c", "5", "-i", "0.2", "-W", "2", address]).stdout
    return float(said.rpartition(" = ")[2].split("/")[1])
