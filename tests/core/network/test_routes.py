"""Routes: which ranges a node may lead to, and what approves them."""

from ipaddress import ip_network

import pytest

from pulse.core.network.ranges import read_range
from pulse.core.network.routes import (
    Route,
    announced,
    check_routes,
    describe_route,
    is_approved,
    written_auto,
    written_route,
)
from pulse.core.trust.identity import node_bytes, node_from_bytes
from pulse.errors import Conflict, Refused
from tests.authority import MESH, node

WEB, DB = node("web"), node("db")
LAN = ip_network("192.168.7.0/24")
OURS = [MESH, ip_network("fd11:2233:4455::/48")]


def route(cidr: str, mapped: str = "", *, approved: bool = True, by: str = WEB) -> Route:
    return Route(bytes.fromhex(by), cidr, mapped, approved)


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0/0", "::/0", "8.0.0.0/8", "10.0.0.0/10", "10.101.0.0/16", "192.168.7.0/24", "2001::/16", "fd12::/16"],
)
def test_a_range_beyond_the_mesh_can_be_led_to(text: str) -> None:
    assert str(read_range(f" {text} ", OURS)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.168.7.1/24", "no range"),
        ("lan", "no range"),
        ("2001:db8:20::1%eth0/128", "no range"),
        ("127.0.0.0/8", "never reached"),
        ("169.254.169.254/32", "never reached"),
        ("fd00:ec2::254/128", "never reached"),
        ("fe80::/64", "never reached"),
        ("224.0.0.0/24", "never reached"),
        ("10.100.9.0/24", "in the mesh itself"),
        ("fd11:2233:4455:1::/64", "in the mesh itself"),
        ("10.0.0.0/8", "holds the mesh itself, 10.100.0.0/16"),
        ("fd00::/8", "holds the mesh itself, fd11:2233:4455::/48"),
        ("0.0.0.0/1", "a large part of the Internet.\nTake all of it, 0.0.0.0/0, or ranges of /8 each"),
        ("64.0.0.0/7", "a large part of the Internet"),
        ("2000::/3", "a large part of the Internet.\nTake all of it, ::/0, or ranges of /16 each"),
        ("::/1", "a large part of the Internet"),
    ],
)
def test_what_no_node_leads_to_is_refused(text: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        read_range(text, OURS)


def test_what_holds_the_mesh_is_told_what_to_write_instead() -> None:
    with pytest.raises(
        Refused, match=r"Write the ranges beside it: 10\.96\.0\.0/14, 10\.101\.0\.0/16, 10\.102\.0\.0/15"
    ):
        read_range("10.96.0.0/13", OURS)
    with pytest.raises(Refused, match="beside it: narrower ones"):
        read_range("fc00::/7", OURS)


def test_a_route_may_be_known_by_another_range_of_its_size() -> None:
    assert written_route(route("192.168.7.0/24", "10.7.7.0/24"), OURS).announced == "10.7.7.0/24"
    assert route("192.168.7.0/24").announced == "192.168.7.0/24"
    assert describe_route(route("192.168.7.0/24", "10.7.7.0/24")) == "192.168.7.0/24 as 10.7.7.0/24, approved"


@pytest.mark.parametrize("mapped", ["10.7.0.0/16", "10.7.7.0/25", "fd00::/120", "fd00::/24"])
def test_a_config_that_maps_to_a_range_of_another_size_maps_to_nothing(mapped: str) -> None:
    odd = route("192.168.7.0/24", mapped)
    assert announced(node_from_bytes(odd.node), ["192.168.7.0/24"], [odd]) == ()


@pytest.mark.parametrize(
    ("cidr", "mapped"),
    [
        ("192.168.7.0/24", "10.7.0.0/16"),
        ("192.168.7.0/24", "fd00::/120"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("192.168.7.0/24", "192.168.7.0/24"),
        ("192.168.7.0/24", "10.100.7.0/24"),
    ],
)
def test_it_is_known_by_no_other(cidr: str, mapped: str) -> None:
    with pytest.raises(Refused):
        written_route(route(cidr, mapped), OURS)


def test_a_node_leads_to_a_range_once_and_to_few() -> None:
    with pytest.raises(Conflict, match="there twice"):
        check_routes([route("10.7.7.0/24"), route("192.168.7.0/24", "10.7.7.0/24")])
    many = [route(f"10.7.{number}.0/24") for number in range(9)]
    check_routes([*many[:8], route("10.7.0.0/24", by=DB)])
    with pytest.raises(Refused, match="more than 8"):
        check_routes(many)


def test_there_are_so_many_and_no_more() -> None:
    with pytest.raises(Refused, match="1024 are allowed"):
        check_routes([route("10.7.0.0/24")] * 1025)
    with pytest.raises(Refused, match="256 are allowed"):
        written_auto({f"10.7.{number}.0/24" if number < 256 else "10.8.0.0/24": "site" for number in range(257)}, OURS)


def test_a_route_counts_for_its_node_once_it_is_approved() -> None:
    for approved in (True, False):
        assert is_approved(WEB, (), LAN, [route("192.168.7.0/24", approved=approved)], {}) is approved
    assert not is_approved(DB, (), LAN, [route("192.168.7.0/24")], {})
    assert not is_approved(WEB, (), ip_network("192.168.7.0/25"), [route("192.168.7.0/24")], {})
    assert not is_approved(WEB, (), LAN, [route("192.168.7.0/24", "10.7.7.0/24")], {})
    assert node_bytes(WEB) == route("::/0").node


def test_a_tag_approves_a_range_and_its_parts() -> None:
    auto = {"192.168.0.0/16": "site"}
    assert is_approved(WEB, ["site"], LAN, [], auto)
    assert not is_approved(WEB, ["front"], LAN, [], auto)
    assert not is_approved(WEB, ["site"], ip_network("192.0.0.0/8"), [], auto)
    assert not is_approved(WEB, ["site"], ip_network("fd00::/64"), [], auto)


@pytest.mark.parametrize("offered", ["192.168.7.0/24", "192.168.7.0/25", "192.168.7.3/32"])
def test_no_tag_takes_what_the_scribe_gave_to_another(offered: str) -> None:
    auto, mine = {"192.168.0.0/16": "site"}, ip_network(offered)
    assert not is_approved(DB, ["site"], mine, [route("192.168.7.0/24")], auto)
    assert is_approved(DB, ["site"], mine, [route("192.168.7.0/24", approved=False)], auto)
    assert is_approved(DB, ["site"], mine, [route("192.168.7.0/24"), route(offered, by=DB)], {})
    assert is_approved(DB, ["site"], mine, [route("192.168.0.0/16", by=DB)], auto)
    assert is_approved(DB, ["site"], ip_network("192.168.0.0/17"), [route("192.168.7.0/24")], auto)


@pytest.mark.parametrize("internet", ["0.0.0.0/0", "::/0"])
def test_no_tag_approves_the_whole_internet_whoever_wrote_so(internet: str) -> None:
    auto = {"0.0.0.0/0": "site", "::/0": "site", "rubbish": "site"}
    assert not is_approved(WEB, ["site"], ip_network(internet), [], auto)
    assert not is_approved(WEB, ["site"], LAN, [], auto)
    assert is_approved(WEB, ["site"], ip_network(internet), [route(internet)], auto)
    with pytest.raises(Refused, match="whole Internet"):
        written_auto({internet: "site"}, OURS)


def test_ranges_that_tags_approve_have_one_form() -> None:
    assert written_auto({" 10.20.0.0/16": "site"}, OURS) == {"10.20.0.0/16": "site"}
    for auto in ({"10.20.0.0/16": "tag:site"}, {"10.20.0.0/16": "a", "10.20.0.0/16 ": "b"}, {"10.100.1.0/24": "a"}):
        with pytest.raises(Refused):
            written_auto(auto, OURS)


@pytest.mark.parametrize("wide", ["10.0.0.0/8", "10.100.0.0/15", "fc00::/7"])
def test_no_tag_approves_a_range_that_holds_the_mesh(wide: str) -> None:
    with pytest.raises(Refused, match=r"holds the mesh itself, .*\nWrite the ranges beside it"):
        written_auto({wide: "site"}, OURS)
    with pytest.raises(Refused, match="holds the mesh itself"):
        written_route(route(wide), OURS)
