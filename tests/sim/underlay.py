"""The networks below the mesh: who can dial whom, how far away everybody is, what is cut.

Invariant: everything here is a pure question about the present; whoever changes it has every link of the world
look at itself again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

PORT = 41641

SAME_SEGMENT = 0.0002
"""Seconds one way between two machines beside each other."""

WAY_OUT = 0.004
"""Seconds one way between two segments, beside what each machine is away from its way out."""

NUMBERS = 250
"""Machines in one row of addresses."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A network machines sit on. Two inside segments may number their machines alike, as homes do."""

    name: str
    prefix: str
    """The first two numbers of its addresses."""
    public: bool = False
    """Its machines can be dialled from every segment with a way out."""
    outlet: bool = True
    """Its machines can dial those of public segments."""


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

    def __post_init__(self) -> None:
        self.addresses = tuple(self._address(segment.prefix) for segment in self.segments)

    def move(self, segments: tuple[Segment, ...]) -> None:
        """Plug it in elsewhere, or in the same place under other addresses."""
        self.segments = segments
        self.moves += 1
        self.addresses = tuple(self._address(segment.prefix) for segment in segments)

    @property
    def outside(self) -> str:
        """Where the public sees it: its public address, else its way out's, which nobody can dial."""
        for segment, address in zip(self.segments, self.addresses, strict=True):
            if segment.public:
                return address
        return self._address("100.64")

    def _address(self, prefix: str) -> str:
        row, place = divmod(self.number, NUMBERS)
        return f"{prefix}.{(row + 16 * self.moves) % 256}.{1 + place}:{PORT}"


@dataclass(slots=True)
class Underlay:
    """All machines, and what is cut between them."""

    machines: list[Machine] = field(default_factory=list)
    _inside: dict[tuple[str, str], Machine] = field(default_factory=dict)
    """Segment and address to the machine there."""
    _public: dict[str, Machine] = field(default_factory=dict)
    _cut: dict[tuple[str, str], None] = field(default_factory=dict)

    def add(self, machine: Machine) -> None:
        """A machine is plugged in."""
        self.machines.append(machine)
        self.renumbered()

    def renumbered(self) -> None:
        """Machines moved."""
        self._inside, self._public = {}, {}
        for machine in self.machines:
            for segment, address in zip(machine.segments, machine.addresses, strict=True):
                self._inside[segment.name, address] = machine
                if segment.public:
                    self._public[address] = machine

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

    # Questions

    def carries(self, source: Machine, target: Machine) -> bool:
        """True if packets go from one to the other, given they have a route at all."""
        return source.group == target.group and (source.name, target.name) not in self._cut

    def answering(self, source: Machine, address: str) -> Machine | None:
        """Whose door an address leads to from there: its own, then its neighbours', then public ones."""
        for segment in source.segments:
            if found := self._inside.get((segment.name, address)):
                return found
        return self._public.get(address) if has_way_out(source) else None

    @staticmethod
    def observed(source: Machine, target: Machine) -> str:
        """Where `target` sees `source`."""
        for segment, address in zip(source.segments, source.addresses, strict=True):
            if segment in target.segments:
                return address
        return source.outside

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


def has_way_out(machine: Machine) -> bool:
    """True if the machine can dial public segments."""
    return any(segment.outlet for segment in machine.segments)
