"""Hosts of the mesh are at a node; what is beyond it is not."""

from ipaddress import IPv4Network

import pytest

from pulse.core.network.hosttext import Host
from pulse.core.network.whereabouts import Whereabouts
from pulse.core.network.zones import ZoneRecord
from pulse.core.trust.members import Members
from pulse.core.types import NodeId
from pulse.errors import Conflict, NotFound, Refused
from pulse.schemas.whereabouts import HostQuery
from pulse.services.whereabouts import WhereaboutsService
from tests.authority import Ca
from tests.mint import member

CA = Ca()
ME, VM = (member(CA, name, place, host=name) for place, name in ((2, "me"), (3, "vm-01")))


class Everywhere:
    def exit_for(self, _: Host) -> NodeId | None:
        return VM.node_id


def service(*records: ZoneRecord) -> WhereaboutsService:
    members = Members()
    for each in (ME, VM):
        members.certificate_seen(each)
    ranges = (IPv4Network("10.100.0.0/16"),)
    return WhereaboutsService(Whereabouts(ME.node_id, members, lambda: ranges, lambda: records, Everywhere()))


@pytest.mark.parametrize(
    "host",
    ["vm-01", "VM-01.pulse.", "postgres.vm-01.pulse", VM.node_id[:12], str(VM.addresses.v4), str(VM.addresses.v6)],
)
async def test_a_host_of_the_mesh_is_at_its_node(host: str) -> None:
    found = await service().find(HostQuery(host))
    assert (found.id, found.name, found.v4) == (VM.node_id, "vm-01", str(VM.addresses.v4))


async def test_this_node_is_found_too() -> None:
    assert (await service().find(HostQuery("me.pulse"))).id == ME.node_id


@pytest.mark.parametrize("host", ["nobody", "example.com", "203.0.113.7", "", "vm"])
async def test_what_is_beyond_the_mesh_is_not_in_it_though_an_exit_leads_there(host: str) -> None:
    with pytest.raises((NotFound, Refused, Conflict), match=r"See|pulse status|no node"):
        await service().find(HostQuery(host))
