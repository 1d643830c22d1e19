"""The networks below the mesh: who can dial whom, through which NATs, how far away everybody is, what is cut.

Invariant: nothing changes here but by what is sent, which NATs remember, and by whoever changes the networks; that one
has every link of the world look at itself again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.sim.nat import SYMMETRIC, Kind, Nat

PORT = 41641

NAT_ADDRESS, INNER_NAT_ADDRESS = "203.0.113.{}", "100.64.0.{}"
"""Outer addresses of NATs on the Internet, and of those behind a carrier's (RFC 6598)."""

SAME_SEGMENT = 0.0002
"""Seconds one way between two machines beside each other."""

WAY_OUT = 0.004
"""Seconds one way between two segments, beside what each machine is away from its way out."""

NUMBERS = 250
"""Machines in one row of addresses."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A network whose customers share a NAT beyond their own (CGNAT)."""

    name: str
    nat: Kind


@dataclass(frozen=True, slots=True)
class Segment:
    """A network machines sit on. Two inside segments may number their machines alike, as homes do."""

    name: str
    prefix: str
    """The first two numbers of its addresses."""
    public: bool = False
    """Its machines can be dialled from every segment with a way out."""
    outlet: bool = True
    """Its machines can dial those of public segments, through its NAT unless it is public itself."""
    nat: Kind = SYMMETRIC
    carrier: Carrier | None = None


@dataclass(eq=False, slots=True)
class Machine:
    """Where one daemon runs, and how far that is from the rest of the world."""

    name: str
    number: int
    segments: tuple[Segment, ...]
    delay: float = 0.001
    """Seconds one way between it and its segment's way out."""
    loss: float = 0.0
    """Share of its packets that get lost, each way."""
    addresses: tuple[str, ...] = ()
    """`ip:port` on each of its segments."""
    moves: int = 0
    """How often it got other addresses: links of before are dead."""
    group: int = 0
    """Machines of different groups do not hear each other."""
    way_out: tuple[Segment, str] | None = None
    """The segment by which it reaches the public, a public one first, and its address there."""

    def __post_init__(self) -> None:
        self._plug_in(self.segments)

    def move(self, segments: tuple[Segment, ...]) -> None:
        """Plug it in elsewhere, or in the same place under other addresses."""
        self.moves += 1
        self._plug_in(segments)

    @property
    def is_public(self) -> bool:
        """True if no NAT lies between it and the Internet."""
        return self.way_out is not None and self.way_out[0].public

    def _plug_in(self, segments: tuple[Segment, ...]) -> None:
        self.segments = segments
        self.addresses = tuple(self._address(segment.prefix) for segment in segments)
        ways = [way for way in zip(segments, self.addresses, strict=True) if way[0].outlet]
        self.way_out = min(ways, key=lambda way: not way[0].public, default=None)

    def _address(self, prefix: str) -> str:
        row, place = divmod(self.number, NUMBERS)
        return f"{prefix}.{(row + 16 * self.moves) % 256}.{1 + place}:{PORT}"


class Flight(NamedTuple):
    """A datagram under way, beyond all NATs of its sender."""

    seen: str
    """Where it seems to come from."""
    address: str
    """Where it goes."""
    target: Machine
    """Who is there, if it is let in."""
    gate: Nat | None = None
    """The first NAT that must let it in."""


@dataclass(slots=True)
class Underlay:
    """All machines, the NATs before them, and what is cut between them."""

    machines: list[Machine] = field(default_factory=list)
    _inside: dict[tuple[str, str], Machine] = field(default_factory=dict)
    """Segment and address to the machine there."""
    _public: dict[str, Machine] = field(default_factory=dict)
    _nats: dict[str, Nat] = field(default_factory=dict)
    """By the name of the segment or carrier they serve."""
    _ways_out: dict[str, tuple[Nat, ...]] = field(default_factory=dict)
    """NATs between a segment and the Internet, from inside."""
    _gates: dict[str, Nat] = field(default_factory=dict)
    """NATs on the Internet, by their outer address."""
    _inner_gates: dict[str, Nat] = field(default_factory=dict)
    """Those behind a carrier's."""
    _homes: dict[Nat, str] = field(default_factory=dict)
    """The segment behind a NAT; a carrier's has none of its own."""
    _cut: dict[tuple[str, str], None] = field(default_factory=dict)

    def add(self, machine: Machine) -> None:
        """A machine is plugged in."""
        self.machines.append(machine)
        self.renumbered()

    def reboot(self, name: str) -> None:
        """The NAT of a segment or carrier starts anew, if anybody is behind it."""
        if nat := self._nats.get(name):
            nat.forget()

    def renumbered(self) -> None:
        """Machines moved."""
        self._inside, self._public = {}, {}
        for machine in self.machines:
            for segment, address in zip(machine.segments, machine.addresses, strict=True):
                self._inside[segment.name, address] = machine
                if segment.public:
                    self._public[address] = machine
                elif segment.outlet and segment.name not in self._ways_out:
                    self._open(segment)

    def cut(self, source: Machine, target: Machine) -> None:
        """What `source` sends does not reach `target` any more; the other way is another matter."""
        self._cut[source.name, target.name] = None

    def part(self, groups: Iterable[Iterable[Machine]]) -> None:
        """Machines hear only those of their own group; all that are in none form one more."""
        for number, group in enumerate(groups, 1):
            for machine in group:
                machine.group = number

    def heal(self) -> None:
        """No machine is parted from another, and no way is cut."""
        for machine in self.machines:
            machine.group = 0
        self._cut.clear()

    # What is sent

    def leaves(self, source: Machine, address: str, now: float) -> Flight | None:
        """A datagram leaves for an address; None if it leads to nobody. The NATs of its sender have seen it."""
        for segment, own in zip(source.segments, source.addresses, strict=True):
            if found := self._inside.get((segment.name, address)):
                return Flight(own, address, found)
        if source.way_out is None:
            return None
        segment, seen = source.way_out
        host = _host(address)
        for nat in self._ways_out.get(segment.name, ()):
            seen = nat.leaves(seen, address, now)
            if host == nat.address:
                return self._inward(nat, seen, address, now) if nat.kind.hairpin else None
        if found := self._public.get(address):
            return Flight(seen, address, found)
        gate = self._gates.get(host)
        return None if gate is None else self._inward(gate, seen, address, now)

    def enters(self, flight: Flight, now: float) -> bool:
        """True if the NATs before its target let in a datagram that arrives now."""
        gate, outer = flight.gate, flight.address
        while gate is not None:
            inside = gate.behind(outer, now)
            if inside is None or not gate.admits(outer, flight.seen, now):
                return False
            gate, outer = self._inner_gates.get(_host(inside)), inside
        return True

    def seen(self, source: Machine, address: str, target: Machine, now: float) -> str:
        """Where `target` sees what `source` sends to an address now; empty if it does not get there."""
        if not self.carries(source, target):
            return ""
        flight = self.leaves(source, address, now)
        if flight is None or flight.target is not target or not self.enters(flight, now):
            return ""
        return flight.seen

    def _inward(self, gate: Nat, seen: str, address: str, now: float) -> Flight | None:
        """A datagram comes to a NAT, for whoever has a mapping there."""
        nat: Nat | None = gate
        home, outer = "", address
        while nat is not None:
            inside = nat.behind(outer, now)
            if inside is None:
                return None
            home, nat, outer = self._homes.get(nat, ""), self._inner_gates.get(_host(inside)), inside
        found = self._inside.get((home, outer))
        return None if found is None else Flight(seen, address, found, gate)

    # Questions

    def carries(self, source: Machine, target: Machine) -> bool:
        """True if packets go from one to the other, given they have a route at all."""
        return source.group == target.group and (source.name, target.name) not in self._cut

    def answering(self, source: Machine, address: str) -> Machine | None:
        """Whose door an address leads to from there without a NAT's leave: its neighbours', then public ones."""
        for segment in source.segments:
            if found := self._inside.get((segment.name, address)):
                return found
        return self._public.get(address) if source.way_out else None

    @staticmethod
    def delay(one: Machine, other: Machine) -> float:
        """Seconds one way between two machines."""
        if any(segment in other.segments for segment in one.segments):
            return SAME_SEGMENT + one.delay / 16 + other.delay / 16
        return WAY_OUT + one.delay + other.delay

    @staticmethod
    def loss(one: Machine, other: Machine) -> float:
        """Share of packets lost one way between two machines."""
        return 1.0 - (1.0 - one.loss) * (1.0 - other.loss)

    # Details

    def _open(self, segment: Segment) -> None:
        """A segment has a way out from now on."""
        if segment.carrier is None:
            own, beyond = self._nat(segment.name, segment.nat, NAT_ADDRESS, self._gates), None
        else:
            name, kind = segment.carrier.name, segment.carrier.nat
            own = self._nat(segment.name, segment.nat, INNER_NAT_ADDRESS, self._inner_gates)
            beyond = self._nats.get(name) or self._nat(name, kind, NAT_ADDRESS, self._gates)
        self._homes[own] = segment.name
        self._ways_out[segment.name] = (own,) if beyond is None else (own, beyond)

    def _nat(self, name: str, kind: Kind, address: str, gates: dict[str, Nat]) -> Nat:
        nat = Nat(kind, address.format(1 + len(self._nats)))
        self._nats[name] = gates[nat.address] = nat
        return nat


def _host(address: str) -> str:
    return address.rpartition(":")[0]
