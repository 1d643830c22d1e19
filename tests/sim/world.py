"""A world of nodes under one seed: machines, daemons, links, and one source of chance for all of it.

Invariant: the same seed and the same calls give the same world, event by event, in any process.
"""

from collections.abc import Callable, Iterable
from random import Random

from pulse.core.effects import WARNING, Log
from pulse.core.facts import Fact
from pulse.core.types import NodeId
from tests.sim import identities
from tests.sim.clock import Clock
from tests.sim.daemon import Daemon
from tests.sim.diagram import draw
from tests.sim.flow import Flow
from tests.sim.node import SimNode
from tests.sim.underlay import Carrier, Machine, Segment, Underlay

INTERNET = Segment("internet", "198.51", public=True)

RETRANSMIT = 0.05
"""Seconds QUIC waits at least before it sends again what was lost, doubling."""

MOST_LOSSES = 6
JITTER = 0.1
"""Share of the delay by which a packet may be late."""


class World(Clock):
    """Machines, nodes and their daemons."""

    def __init__(self, seed: int, *, hashed: bool = False, expected: Iterable[str] = ()) -> None:
        self.seed = seed
        super().__init__()
        self.random = Random(seed)
        self.underlay = Underlay()
        self.nodes: dict[str, SimNode] = {}
        self.flow = Flow(hashed=hashed)
        self.expected = frozenset(expected)
        """Errors a test makes happen on purpose; any other fails it."""
        self.warnings: list[tuple[float, str, Log]] = []
        self.swaps = 0
        """How often the tables of any node changed."""
        self._machines: dict[str, SimNode] = {}

    # Time

    def run(self, seconds: float) -> None:
        """Let time pass. What goes wrong bears the seed and the newest part of the flow."""
        try:
            super().run(seconds)
        except Exception as error:
            if not getattr(error, "__notes__", None):
                error.add_note(self.story())
            raise

    def until(self, condition: Callable[[], bool], within: float, step: float = 0.1) -> float:
        """Let time pass until something holds; how long that took. Fails after `within` seconds."""
        began = self.now
        while not condition():
            if self.now - began >= within:
                raise self.failure(f"still not so after {within} s")
            self.run(step)
        return self.now - began

    # Nodes

    def node(
        self,
        name: str,
        *segments: Segment,
        dials: Iterable[SimNode] = (),
        is_ca: bool = False,
        number: int | None = None,
        place: int | None = None,
    ) -> SimNode:
        """A new member, not started; it sits on the Internet unless told otherwise.

        `number` says whose key it has, `place` which address on its segments; left out, the next free one.
        """
        number = len(self.nodes) if number is None else number
        machine = Machine(name, number if place is None else place, segments or (INTERNET,))
        node = self._plug_in(SimNode(self, name, number, machine, is_ca))
        node.configured = tuple(other.machine.addresses[0] for other in dials)
        if is_ca:
            node.disk.config = identities.FIRST_CONFIG
        return node

    def clone(self, original: SimNode, name: str, *segments: Segment) -> SimNode:
        """Another machine with the key and the disk of a node."""
        machine = Machine(name, 200 + len(self.nodes), segments or (INTERNET,))
        node = self._plug_in(SimNode(self, name, original.number, machine, original.is_ca))
        node.configured, node.disk = original.configured, original.disk.copy()
        return node

    def _plug_in(self, node: SimNode) -> SimNode:
        self.underlay.add(node.machine)
        self.nodes[node.name] = self._machines[node.machine.name] = node
        return node

    def running(self, machine: Machine) -> Daemon | None:
        """The daemon on a machine."""
        node = self._machines[machine.name]
        return node.daemon if node.alive else None

    def daemons(self) -> list[Daemon]:
        """Every daemon that runs."""
        return [node.daemon for node in self.nodes.values() if node.daemon is not None and node.daemon.alive]

    def daemon_of(self, node: NodeId, other_than: Daemon) -> Daemon | None:
        """The daemon of a node, if one runs."""
        return next((each for each in self.daemons() if each.id == node and each is not other_than), None)

    # What happens to the underlay

    def part(self, *groups: Iterable[SimNode]) -> None:
        """Each group hears only itself from now on."""
        self.say("parted: " + " | ".join(" ".join(node.name for node in group) for group in groups))
        self.underlay.part([[node.machine for node in group] for group in groups])
        self.review()

    def cut(self, source: SimNode, target: SimNode) -> None:
        """What one sends does not reach the other; the way back stays open."""
        self.say(f"cut: {source.name} to {target.name}")
        self.underlay.cut(source.machine, target.machine)
        self.review()

    def heal(self) -> None:
        """Everybody hears everybody again."""
        self.say("healed")
        self.underlay.heal()
        self.review()

    def move(self, node: SimNode, *segments: Segment) -> None:
        """A machine is plugged in elsewhere, or gets other addresses where it is."""
        node.machine.move(segments or node.machine.segments)
        self.underlay.renumbered()
        self.say(f"{node.name} moves to {node.machine.addresses[0]}", node.name)
        self.review()
        node.moved()

    def reboot(self, network: Segment | Carrier) -> None:
        """The NAT of a home or a carrier forgets whom it knew; what leaves from there comes from other ports."""
        self.say(f"the NAT of {network.name} reboots")
        self.underlay.reboot(network.name)
        self.review()

    def reshape(self, node: SimNode, *, delay: float | None = None, loss: float | None = None) -> None:
        """A machine's way to the rest of the world gets better or worse."""
        machine = node.machine
        machine.delay = machine.delay if delay is None else delay
        machine.loss = machine.loss if loss is None else loss
        self.say(f"{node.name} is {machine.delay * 1000:.0f} ms away and loses {machine.loss:.0%}", node.name)
        for each in [node, *(end.far.daemon.node for end in node.running.ends.values())] if node.alive else []:
            each.figures_changed()

    def review(self) -> None:
        """The underlay changed: every link looks whether anything still passes."""
        for link in dict.fromkeys(end.link for daemon in self.daemons() for end in daemon.ends.values()):
            link.review()

    def crossing(self, source: Machine, target: Machine) -> float:
        """Seconds one message takes from one machine to another, what is lost sent again."""
        random, delay = self.random, self.underlay.delay(source, target)
        loss = self.underlay.loss(source, target)
        seconds = delay * (1 + JITTER * random.random())
        for lost in range(MOST_LOSSES):
            if not loss or random.random() >= loss:
                break
            seconds += (RETRANSMIT + 2 * delay) * 2**lost
        return seconds

    def arrival(self, source: Machine, target: Machine) -> float | None:
        """Seconds one datagram takes from one machine to another; None if it is lost."""
        lost = self.random.random() < self.underlay.loss(source, target)
        if lost or not self.underlay.carries(source, target):
            return None
        return self.underlay.delay(source, target) * (1 + JITTER * self.random.random())

    # What is seen of it

    def tell(self, node: SimNode, fact: Fact) -> None:
        """Tell a node's mesh a fact."""
        node.running.tell(fact)

    def tables_changed(self) -> None:
        """A node routes by other tables."""
        self.swaps += 1

    def logged(self, name: str, log: Log) -> None:
        """A node wrote a line; warnings are kept for those who look for them."""
        if log.level >= WARNING:
            self.warnings.append((self.now, name, log))

    def warned(self, event: str) -> list[str]:
        """Names of the nodes that logged a warning or error, each once, in order."""
        return list(dict.fromkeys(name for _, name, log in self.warnings if log.event == event))

    def say(self, what: str, name: str = "") -> None:
        """Note something for the diagram."""
        self.flow.add(self.now, name, what)

    def failure(self, what: str, *concerned: str) -> AssertionError:
        """What to raise when something is not as it must be: it bears the seed and the flow of those concerned."""
        error = AssertionError(f"seed {self.seed} at {self.now:.3f} s: {what}")
        error.add_note(self.story(*concerned))
        return error

    def story(self, *concerned: str) -> str:
        """The seed, and the message flow of the nodes concerned as a diagram."""
        return f"seed {self.seed}, {self.now:.3f} s\n{draw(self.flow, concerned or tuple(self.nodes), self.now)}"
