"""Meshes the directed tests begin with: a few nodes in known places, up and settled."""

from dataclasses import dataclass
from itertools import permutations

from pulse.core.messages import ObjectKind
from tests.sim import traffic
from tests.sim.node import SimNode
from tests.sim.signing import edited_config, roles_of
from tests.sim.underlay import Segment
from tests.sim.world import World

SETTLED = 15.0
"""Seconds a new mesh gets to find itself."""


def reach(*nodes: SimNode) -> bool:
    """True if each of these reaches each other."""
    return all(
        one.alive and other.alive and traffic.arrives(one.running, other.running)
        for one, other in permutations(nodes, 2)
    )


def way(source: SimNode, target: SimNode) -> list[str]:
    """Names of the nodes that frames pass, both ends included."""
    return [each.node.name for each in traffic.route(source.running, target.running)]


@dataclass
class Mesh:
    """A CA and relays on the Internet, and members at homes of their own."""

    world: World
    ca: SimNode
    relays: list[SimNode]
    members: list[SimNode]

    @property
    def nodes(self) -> list[SimNode]:
        """All of them."""
        return [self.ca, *self.relays, *self.members]

    @property
    def others(self) -> list[SimNode]:
        """All but the CA."""
        return [*self.relays, *self.members]

    def scribe(self, node: SimNode) -> None:
        """The CA makes that node the scribe, which signs its first config."""
        self.ca.states(ObjectKind.ROLES, roles_of(1, node))
        self.world.run(5)
        node.states(ObjectKind.CONFIG, edited_config(node))


def mesh(seed: int, *, relays: int = 1, members: int = 2, at_home: bool = True, expected: tuple[str, ...] = ()) -> Mesh:
    """A mesh that settled. At home, members cannot dial each other; each asked all relays to let it in."""
    world = World(seed, expected=expected)
    ca = world.node("ca", is_ca=True)
    doors = [world.node(f"relay{n}", dials=[ca]) for n in range(relays)]
    homes = [(Segment(f"home {n}", f"10.{n}"),) if at_home else () for n in range(members)]
    rest = [world.node(f"n{n}", *home, dials=doors or [ca]) for n, home in enumerate(homes)]
    for node in (ca, *doors, *rest):
        node.machine.delay = world.random.uniform(0.001, 0.02)
        node.start()
    world.run(SETTLED)
    made = Mesh(world, ca, doors, rest)
    if not reach(*made.nodes):
        raise world.failure("the mesh did not come up")
    return made
