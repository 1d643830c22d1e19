"""Traffic: told by node and by peer, to who may know of it."""

from dataclasses import dataclass

import pytest

from pulse.core.messages import MethodName
from pulse.core.network import reporter
from pulse.core.trust.certificates import Certificate
from pulse.errors import NotFound, Refused
from pulse.schemas.stats import Stats, StatsQuery, Traffic
from tests.services.counting import Mesh, mesh
from tests.services.office import CAM, HOME, KEEPER, RELAY

__all__ = ["mesh"]


@dataclass
class Streams:
    """Connections that a node carries."""

    active: int = 1
    total: int = 3
    bytes_in: int = 500
    bytes_out: int = 600


async def told(mesh: Mesh, asked: Certificate = HOME, node: str = "") -> Stats:
    return await mesh.stats[asked.node_id].stats(StatsQuery(node))


async def test_the_scribe_sums_what_all_report_and_tells_operators_the_ca_and_itself(mesh: Mesh) -> None:
    mesh.moved(HOME, RELAY, 500, 100)
    mesh.moved(RELAY, HOME, 100, 500)
    mesh.moved(RELAY, CAM, 1000)
    assert await mesh.report() == [True] * 4

    for asked in (HOME, CAM, KEEPER):
        found = await told(mesh, asked)
        assert (found.told_by, found.whole, found.problem, found.of) == ("home", True, "", "")
        assert [(each.name, each.bytes_in, each.bytes_out, each.packets_in) for each in found.rows[:2]] == [
            ("relay", 1100, 500, 11),
            ("home", 500, 100, 5),
        ]


async def test_the_status_of_the_scribe_has_all_nodes_and_that_of_others_their_own(mesh: Mesh) -> None:
    mesh.moved(HOME, RELAY, 500, 100)
    mesh.moved(RELAY, HOME, 100, 500)
    await mesh.report()
    mesh.moved(HOME, RELAY, 700, 100)

    all_of_them = mesh.stats[HOME.node_id].by_node()
    assert (all_of_them[HOME.node_id], all_of_them[RELAY.node_id]) == (Traffic(700, 100), Traffic(100, 500))
    assert mesh.stats[RELAY.node_id].by_node() == {RELAY.node_id: Traffic(100, 500)}
    await mesh.report(HOME)
    assert (await mesh.bytes())["home"] == (700, 100)


async def test_who_is_no_operator_is_told_its_own_alone_and_how_to_ask(mesh: Mesh) -> None:
    mesh.moved(RELAY, HOME, 100)
    await mesh.report(RELAY)
    mesh.start(RELAY)
    mesh.moved(RELAY, HOME, 50)
    await mesh.report(RELAY)

    found = await told(mesh, RELAY)
    assert [(each.name, each.bytes_in) for each in found.rows] == [("relay", 150)], "over all its lives"
    assert not found.whole
    assert f"pulse ca grant {RELAY.node_id[:12]} operator" in found.problem


async def test_one_node_is_told_by_peer_to_who_may_know_with_whom_it_talks(mesh: Mesh) -> None:
    mesh.moved(RELAY, HOME, 100)
    mesh.moved(RELAY, CAM, 900)
    mesh.moved(RELAY, KEEPER, 0)

    for asked in (RELAY, HOME, CAM):
        found = await told(mesh, asked, "relay")
        assert (found.of, found.told_by, found.whole) == ("relay", "relay", True)
        assert [(each.name, each.bytes_in) for each in found.rows] == [("cam-7", 900), ("home", 100)]
    with pytest.raises(Refused, match=r"relay .*is no operator.*\nMake it one, on the CA: pulse ca grant"):
        await told(mesh, RELAY, "home")
    with pytest.raises(NotFound, match="nobody"):
        await told(mesh, HOME, "nobody")


async def test_connections_count_too_with_those_that_are_open(mesh: Mesh) -> None:
    mesh.stats[RELAY.node_id].connections = (Streams(), Streams(0, 1, 5, 5))
    mesh.moved(RELAY, HOME, 100, 200)
    await mesh.report(RELAY)

    (row,) = (await told(mesh)).rows[:1]
    assert (row.name, row.bytes_in, row.bytes_out, row.conns, row.active_conns) == ("relay", 605, 805, 4, 1)
    by_peer = (await told(mesh, RELAY, "relay")).rows
    assert [(each.name, each.bytes_in, each.active_conns) for each in by_peer] == [
        ("(connections)", 505, 1),
        ("home", 100, 0),
    ]


async def test_nothing_is_said_while_there_is_nothing_to_say_but_once_a_minute(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mesh.report(RELAY, RELAY)
    mesh.moved(RELAY, HOME, 1)
    await mesh.report(RELAY, RELAY, RELAY)
    assert mesh.calls == [MethodName.STATS] * 2
    monkeypatch.setattr(reporter, "AGAIN", 0.0)
    await mesh.report(RELAY)

    assert mesh.calls == [MethodName.STATS] * 3


async def test_where_the_scribe_is_out_of_reach_a_node_tells_its_own_and_says_why(mesh: Mesh) -> None:
    mesh.unreachable.add(HOME.node_id)
    mesh.moved(CAM, HOME, 300)

    assert await mesh.report(CAM) == [False]
    found = await told(mesh, CAM)
    assert [(each.name, each.bytes_in) for each in found.rows] == [("cam-7", 300)]
    assert "home" in found.problem
    assert "gave no answer: no link leads there" in found.problem
    assert not found.whole
