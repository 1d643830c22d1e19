"""Doctor service: a node tells who is missing, whether CA and scribe are reached, and what alarmed it lately."""

from pathlib import Path

from pulse.config import Join, Node, NodeConfig
from pulse.core.mesh import Mesh
from pulse.schemas.events import EventInfo, Events, EventsQuery
from pulse.services.doctor import DoctorService
from tests.authority import Ca
from tests.mint import link_up, member, mesh

CA = Ca()
ME, ALICE = (member(CA, name, place, host=name) for place, name in enumerate(("me", "alice"), 1))
ALARM = EventInfo(7, 1000.0, "clone", ALICE.node_id, "alice", {"why": "two records under one number"})


class Office:
    problem = "another node is the scribe"


class Device:
    name = "pulse0"
    problem = "no range yet"


class Ways:
    problem = "not root"
    bypasses: tuple[str, ...] = ("128.0.0.0/1 via 192.0.2.1",)
    left = "undo is damaged"

    def refused(self) -> list[str]:
        return ["::/0"]


def service(tmp_path: Path, world: Mesh, asked: list[EventsQuery]) -> DoctorService:
    async def events(wanted: EventsQuery) -> Events:
        asked.append(wanted)
        return Events([ALARM], "disk full", 0)

    config = NodeConfig(Node(data_dir=str(tmp_path), addr="a.example.com:443"), join=Join(relay_addr="r.example.com:1"))
    return DoctorService(config, world, Device(), Office(), "1.2.3", events, Ways(), Ways())


async def test_a_node_tells_what_it_knows(tmp_path: Path) -> None:
    world, asked = mesh(CA, ME), list[EventsQuery]()
    world.happened(link_up(ALICE.node_id, 1, certificate=ALICE.der), 1.0)
    world.peer_configured("192.0.2.77:443", 1.0)

    told = await service(tmp_path, world, asked).checkup()

    assert (told.port, told.tun, told.device, told.hosts) == (443, True, "pulse0", ["r.example.com"])
    running = told.running
    assert (running.version, running.links, running.udp_links, running.revoked) == ("1.2.3", 1, 1, False)
    assert [(each.address, each.name) for each in running.missing] == [("192.0.2.77:443", "")]
    assert running.alarms == ["alice: two records under one number"]
    assert (running.not_kept, running.tun_problem) == ("disk full", "no range yet")
    assert (running.exits_problem, running.ranges_refused, running.left) == ("not root", ["::/0"], "undo is damaged")
    assert running.bypasses == ("128.0.0.0/1 via 192.0.2.1",)
    assert (running.exit_problem, running.exit_versions) == ("not root", [])
    assert running.scribe_problem == "another node is the scribe"
    assert [each.type for each in asked] == ["clone"]


async def test_who_is_reached_another_way_is_not_missing(tmp_path: Path) -> None:
    world = mesh(CA, ME)
    world.peer_configured("192.0.2.9:443", 1.0)
    world.neighbours.peer_learnt(ALICE.node_id, "192.0.2.9:443", 1.0)
    world.happened(link_up(ALICE.node_id, 1, certificate=ALICE.der), 1.0)

    assert (await service(tmp_path, world, []).checkup()).running.missing == []
