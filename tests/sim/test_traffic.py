"""Following the tables: what the data plane would do with a frame, and how circles are found."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise

import pytest

from pulse.core.effects import Hop, Owner, TablesChanged
from tests.sim import traffic
from tests.sim.daemon import Daemon
from tests.sim.node import SimNode
from tests.sim.world import World


@dataclass
class Square:
    """Four nodes, each linked with every other, whose tables the test writes."""

    world: World
    nodes: list[SimNode]

    def daemon(self, place: int) -> Daemon:
        return self.nodes[place].running

    def routes(self, place: int, target: int, *hops: tuple[int, int] | tuple[int, int, bool]) -> None:
        """At `place`, towards `target`: by which neighbours, with which weights and flag LAST."""
        at = self.daemon(place)
        ways = tuple(Hop(at.standing[self.nodes[hop[0]].id].id, *hop[1:]) for hop in hops)
        at.tables = TablesChanged({**at.tables.routes, self.handle(target): ways}, self.owners(place))

    def handle(self, place: int) -> IPv4Address:
        return self.daemon(place).mesh.me.addresses.v4

    def owners(self, place: int) -> tuple[Owner, ...]:
        return tuple(Owner(f"{n}", node.id) for n, node in enumerate(self.nodes) if n != place)

    def arrives(self, source: int, target: int) -> bool:
        return traffic.arrives(self.daemon(source), self.daemon(target))


@pytest.fixture
def square() -> Square:
    world = World(1)
    nodes = [world.node(f"n{n}", is_ca=not n) for n in range(4)]
    for n, node in enumerate(nodes):
        node.configured = tuple(other.machine.addresses[0] for other in nodes[:n])
        node.start()
    world.run(5)
    for node in nodes:
        node.running.tables = TablesChanged({}, ())
        node.running.admitted = frozenset(other.id for other in nodes)
    return Square(world, nodes)


def test_frames_follow_the_tables_from_hop_to_hop(square: Square) -> None:
    for at, following in pairwise((0, 1, 2, 3)):
        square.routes(at, 3, (following, 1))

    assert square.arrives(0, 3)
    way = traffic.route(square.daemon(0), square.daemon(3))
    assert [each.node.name for each in way] == ["n0", "n1", "n2", "n3"]
    assert not square.arrives(3, 0)


def test_one_viable_hop_that_leads_nowhere_loses_a_part_of_the_flows(square: Square) -> None:
    square.routes(0, 3, (3, 9), (2, 1))

    assert not square.arrives(0, 3)


def test_a_backup_serves_only_while_all_others_are_suspect(square: Square) -> None:
    square.routes(0, 3, (3, 1), (2, 0))
    assert square.arrives(0, 3)

    square.daemon(0).standing[square.nodes[3].id].suspect = True
    assert not square.arrives(0, 3)
    square.routes(2, 3, (3, 1))
    assert square.arrives(0, 3)


def test_a_path_in_doubt_is_passed_over_while_there_is_another(square: Square) -> None:
    square.routes(0, 3, (2, 1), (3, 1))
    daemon = square.daemon(0)
    daemon.doubted[square.nodes[3].id, daemon.standing[square.nodes[2].id].id] = None

    assert square.arrives(0, 3)


def test_a_last_hop_is_brought_over_the_neighbours_own_link_whatever_its_tables(square: Square) -> None:
    square.routes(0, 3, (1, 1, True))
    square.routes(1, 3, (2, 1))
    assert square.arrives(0, 3)

    del square.daemon(1).standing[square.nodes[3].id]
    assert not square.arrives(0, 3)


def test_frames_never_go_back_where_they_came_from(square: Square) -> None:
    square.routes(0, 3, (1, 1))
    square.routes(1, 3, (0, 1))

    assert not square.arrives(0, 3)


def test_who_is_in_no_address_table_is_not_let_in(square: Square) -> None:
    square.routes(0, 3, (3, 1))
    square.daemon(3).admitted = frozenset()

    assert not square.arrives(0, 3)


def test_a_relay_that_only_answers_probes_carries_nothing_but_its_own(square: Square) -> None:
    square.routes(0, 3, (1, 1))
    square.routes(1, 3, (3, 1))
    square.routes(0, 1, (1, 1))
    square.daemon(1).deaf = True

    assert not square.arrives(0, 3)
    assert square.arrives(0, 1)


def test_a_cut_between_two_hops_loses_what_is_sent_over_it(square: Square) -> None:
    square.routes(0, 3, (3, 1))
    square.world.cut(square.nodes[0], square.nodes[3])

    assert not square.arrives(0, 3)


def test_frames_that_may_not_go_back_take_the_backup(square: Square) -> None:
    square.routes(0, 3, (1, 1))
    square.routes(1, 3, (0, 1), (3, 0))

    assert square.arrives(0, 3)
    assert [each.node.name for each in traffic.route(square.daemon(0), square.daemon(3))] == ["n0", "n1", "n3"]


def test_a_circle_is_found_once(square: Square) -> None:
    for at, following in pairwise((0, 1, 2, 0)):
        square.routes(at, 3, (following, 1))

    assert traffic.loops(square.world.daemons()) == [(square.nodes[3].id, ("n0", "n1", "n2"))]


def test_two_that_point_at_each_other_are_no_circle_for_frames_never_go_back(square: Square) -> None:
    square.routes(0, 3, (1, 1))
    square.routes(1, 3, (0, 1))

    assert traffic.loops(square.world.daemons()) == []


def test_a_last_hop_closes_no_circle(square: Square) -> None:
    square.routes(0, 3, (1, 1))
    square.routes(1, 3, (0, 1, True))

    assert traffic.loops(square.world.daemons()) == []
