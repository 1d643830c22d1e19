"""Doctor service: a node tells its vitals, whether CA and scribe are reached, and what alarmed it lately."""

from pathlib import Path

from pulse.config import Join, Node, NodeConfig
from pulse.core.mesh import Mesh
from pulse.core.symptoms import Missing, Running
from pulse.schemas.events import EventInfo, Events, EventsQuery
from pulse.services.doctor import DoctorService
from tests.authority import Ca
from tests.mint import link_up, member, mesh

CA = Ca()
ME, ALICE = (member(CA, name, place, host=name) for place, name in enumerate(("me", "alice"), 1))
VITALS = Running(missing=[Missing("192.0.2.77:443", "", "no answer")], tun_problem="no range yet")
ALARM = EventInfo(7, 1000.0, "clone", ALICE.node_id, "alice", {"why": "two records under one number"})


class Device:
    name = "pulse0"


def service(tmp_path: Path, world: Mesh, asked: list[EventsQuery]) -> DoctorService:
    async def events(wanted: EventsQuery) -> Events:
        asked.append(wanted)
        return Events([ALARM], "disk full", 0)

    config = NodeConfig(Node(data_dir=str(tmp_path), addr="a.example.com:443"), join=Join(relay_addr="r.example.com:1"))
    return DoctorService(config, world, Device(), lambda: VITALS, "1.2.3", events)


async def test_a_node_tells_what_it_knows(tmp_path: Path) -> None:
    world, asked = mesh(CA, ME), list[EventsQuery]()
    world.happened(link_up(ALICE.node_id, 1, certificate=ALICE.der), 1.0)

    told = await service(tmp_path, world, asked).checkup()

    assert (told.port, told.tun, told.device, told.hosts) == (443, True, "pulse0", ["r.example.com"])
    running = told.running
    assert (running.version, running.links, running.udp_links, running.revoked) == ("1.2.3", 1, 1, False)
    assert (running.missing, running.tun_problem) == (VITALS.missing, "no range yet")
    assert running.alarms == ["alice: two records under one number"]
    assert (running.not_kept, running.exit_versions) == ("disk full", [])
    assert [each.type for each in asked] == ["clone"]
