"""Ranges beyond the mesh on one node: offered, approved, used; and never before all three."""

from ipaddress import ip_address, ip_network

import pytest

from pulse.core.beyond import Beyond
from pulse.core.effects import Owner, RangeServed, RangeUse
from pulse.core.network import routes
from pulse.core.network.edits import Edits
from pulse.core.network.exits import MISSES
from pulse.core.network.naming import NodeTagged
from pulse.core.network.routes import Route
from pulse.core.network.sections import RoutesReplaced
from pulse.core.network.whereabouts import RangeExits
from pulse.core.paths.noderecord import sign_record
from pulse.core.trust.identity import mesh_prefix, node_bytes
from tests.authority import key
from tests.core.meshing import ALICE, ME
from tests.services.test_acls import Desk

LAN = "192.168.7.0/24"


def beyond(desk: Desk, *offers: str, theirs: tuple[str, ...] = (), uses: bool = True) -> Beyond:
    mesh = desk.node.mesh
    record = sign_record(key("alice"), ALICE, boot=1, seq=1, exits=theirs)
    made = Beyond(ME.node_id, mesh.statements, mesh.members, lambda: [record], lambda _: 1.0, offers, uses=uses)
    made.record_seen(ALICE.node_id, theirs)
    return made


def approve(desk: Desk, *routes: Route) -> None:
    desk.write(Edits([RoutesReplaced(list(routes), {})]))


def test_what_another_offers_is_used_once_it_is_approved() -> None:
    desk = Desk()
    found = beyond(desk, theirs=(LAN,))
    assert found.tables() == ((), (), ())

    approve(desk, Route(node_bytes(ALICE.node_id), LAN, approved=True))
    assert found.tables() == ((Owner(LAN, ALICE.node_id),), (RangeUse(LAN, ALICE.node_id),), ())


def test_an_exit_that_failed_may_still_send_and_gets_nothing() -> None:
    desk = Desk()
    approve(desk, Route(node_bytes(ALICE.node_id), LAN, approved=True))
    found = beyond(desk, theirs=(LAN,))
    found.tables()
    assert [bool(found.exits.answered(ALICE.node_id, well=False)) for _ in range(MISSES)] == [False, True]

    assert found.tables() == ((Owner(LAN, ALICE.node_id, destination=False),), (RangeUse(LAN, None),), ())


def test_who_does_not_use_exits_uses_none() -> None:
    desk = Desk()
    approve(desk, Route(node_bytes(ALICE.node_id), LAN, approved=True))

    assert beyond(desk, theirs=(LAN,), uses=False).tables() == ((), (), ())


def test_what_is_behind_this_node_is_served_as_the_config_maps_it() -> None:
    desk = Desk()
    found = beyond(desk, LAN)
    assert [str(each.announced) for each in found.offered()] == [LAN]
    assert found.served() == ()

    approve(desk, Route(node_bytes(ME.node_id), LAN, "10.7.7.0/24", approved=True))
    assert [str(each.announced) for each in found.offered()] == ["10.7.7.0/24"]
    assert found.tables().served == (RangeServed("10.7.7.0/24", LAN),)


def test_nobody_offers_addresses_of_the_mesh_itself_nor_what_holds_them() -> None:
    desk = Desk()
    desk.write(
        Edits(
            [
                RoutesReplaced([], {"10.0.0.0/10": "front"}),
                NodeTagged(node_bytes(ALICE.node_id), "front"),
            ]
        )
    )
    mesh_v6 = str(mesh_prefix(ALICE.network))
    found = beyond(desk, theirs=("10.100.7.7/32", "10.9.9.0/24", "10.0.0.0/8", "10.100.0.0/15", "fc00::/7", mesh_v6))

    assert [str(each.cidr) for each in found.offers()] == ["10.9.9.0/24"]
    assert found.tables().used == (RangeUse("10.9.9.0/24", ALICE.node_id),)


def test_what_an_older_config_approves_of_the_mesh_is_led_to_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    with monkeypatch.context() as older:
        older.setattr(routes, "read_range", lambda text, _: ip_network(text))
        given = [Route(node_bytes(node.node_id), "10.0.0.0/8", approved=True) for node in (ME, ALICE)]
        approve(desk, *given)

    assert beyond(desk, "10.0.0.0/8").served() == ()
    assert beyond(desk, theirs=("10.0.0.0/8",)).tables().used == (RangeUse("10.0.0.0/8", None),)


def test_the_whole_internet_holds_the_mesh_by_arithmetic_alone() -> None:
    desk = Desk()
    approve(desk, Route(node_bytes(ALICE.node_id), "0.0.0.0/0", approved=True))

    assert beyond(desk, theirs=("0.0.0.0/0",)).tables().used == (RangeUse("0.0.0.0/0", ALICE.node_id),)


def test_only_other_ranges_than_before_are_news() -> None:
    found = beyond(Desk(), theirs=(LAN,))

    assert not found.record_seen(ALICE.node_id, (LAN,))
    assert found.is_exit(ALICE.node_id)
    assert not found.is_exit(ME.node_id)
    assert found.record_seen(ALICE.node_id, ())
    assert not found.is_exit(ALICE.node_id)
    assert not found.record_seen(ALICE.node_id, ())


def test_a_stream_is_led_to_what_was_approved_and_under_the_whole_internet_to_what_is_public() -> None:
    desk = Desk()
    found = beyond(desk, LAN, "0.0.0.0/0")
    near = [ip_network("8.8.4.0/24")]
    assert not found.leads_to(ip_address("192.168.7.9"), near.copy), "not approved yet"

    approve(desk, *(Route(node_bytes(ME.node_id), cidr, approved=True) for cidr in (LAN, "0.0.0.0/0")))

    assert found.leads_to(ip_address("192.168.7.9"), near.copy)
    assert found.leads_to(ip_address("8.8.8.8"), near.copy)
    for never in (
        "8.8.4.4",
        "8.8.4.9",
        "192.168.8.9",
        "10.100.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "2001:4860:4860::8888",
    ):
        assert not found.leads_to(ip_address(never), near.copy), never


def test_a_network_this_node_is_in_is_led_to_once_it_is_approved_itself() -> None:
    desk = Desk()
    found = beyond(desk, "2001:db8:7::/64", "::/0")
    near = [ip_network("2001:db8:7::/64"), ip_network("2001:db8:8::/64")]
    approve(desk, Route(node_bytes(ME.node_id), "::/0", approved=True))
    assert not found.leads_to(ip_address("2001:db8:7::9"), near.copy)

    approve(desk, *(Route(node_bytes(ME.node_id), cidr, approved=True) for cidr in ("2001:db8:7::/64", "::/0")))
    assert found.leads_to(ip_address("2001:db8:7::9"), near.copy)
    assert not found.leads_to(ip_address("2001:db8:8::9"), near.copy)


def test_a_mapped_range_is_asked_for_as_the_mesh_knows_it_and_reached_as_it_is() -> None:
    desk = Desk()
    found = beyond(desk, LAN)
    approve(desk, Route(node_bytes(ME.node_id), LAN, "10.7.7.0/24", approved=True))

    assert found.leads_to(ip_address("10.7.7.9"), list)
    assert not found.leads_to(ip_address("192.168.7.9"), list)
    assert found.behind(ip_address("10.7.7.9")) == ip_address("192.168.7.9")
    assert found.behind(ip_address("8.8.8.8")) == ip_address("8.8.8.8")
    assert not found.leads_everywhere()


def test_what_this_node_serves_is_asked_of_no_other_exit() -> None:
    desk = Desk()
    found = beyond(desk, LAN, theirs=("0.0.0.0/0",))
    routes = (
        Route(node_bytes(ME.node_id), LAN, approved=True),
        Route(node_bytes(ALICE.node_id), "0.0.0.0/0", approved=True),
    )
    approve(desk, *routes)
    found.tables()

    exits = RangeExits(found.exits_by_range)
    assert exits.exit_for(ip_address("192.168.7.9")) == ME.node_id
    assert exits.exit_for(ip_address("8.8.8.8")) == ALICE.node_id
