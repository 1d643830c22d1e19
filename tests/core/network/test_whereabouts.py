"""Which node a host is at: names under .pulse, ids and mesh addresses at their own, all else at an exit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest

from pulse.core.network.hosttext import Host
from pulse.core.network.proxying import Answer, ProxyRefused
from pulse.core.network.whereabouts import Place, RangeExits, Whereabouts
from pulse.core.network.zones import LONGEST_CHAIN, ZoneRecord
from pulse.core.trust.identity import mesh_prefix
from pulse.core.trust.members import Members
from pulse.core.types import NodeId
from tests.authority import Ca
from tests.mint import member

CA = Ca()
ME, VM, TWIN = (member(CA, name, place, name=name) for place, name in ((2, "me"), (3, "vm-01"), (4, "twin")))
EXIT = NodeId("e" * 64)
V4, V6 = str(VM.addresses.v4), str(VM.addresses.v6)


@dataclass
class Everywhere:
    """An exit that leads everywhere, and what was asked for."""

    asked: list[Host] = field(default_factory=list)

    def exit_for(self, host: Host) -> NodeId | None:
        self.asked.append(host)
        return EXIT


def whereabouts(*records: ZoneRecord, exits: Everywhere | RangeExits | None = None) -> Whereabouts:
    members = Members()
    for each in (ME, VM, TWIN):
        members.certificate_seen(each)
    ranges = (CA.mesh, mesh_prefix(CA.network))
    return Whereabouts(ME.node_id, members, lambda: ranges, lambda: records, exits or RangeExits(dict))


def refusal(found: Whereabouts, host: Host) -> tuple[Answer, str]:
    with pytest.raises(ProxyRefused) as refused:
        found.find(host)
    return refused.value.answer, str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["vm-01.pulse", "postgres.vm-01.pulse", "a.b.vm-01.pulse", f"{VM.node_id[:6]}.pulse", VM.node_id, VM.node_id[:12]],
)
def test_names_and_ids_are_at_their_node_at_its_mesh_address(name: str) -> None:
    everywhere = Everywhere()

    assert whereabouts(exits=everywhere).find(name) == Place(VM.node_id, V4)
    assert everywhere.asked == []


@pytest.mark.parametrize("address", [V4, V6])
def test_a_mesh_address_is_at_its_node_as_it_was_asked_for(address: str) -> None:
    assert whereabouts().find(ip_address(address)) == Place(VM.node_id, address)


@pytest.mark.parametrize("host", ["nobody.pulse", "pulse", "vm-01.nobody.pulse", "0" * 12, "dead" * 16])
def test_what_is_no_node_of_the_mesh_never_leaves_by_an_exit(host: str) -> None:
    everywhere = Everywhere()

    assert refusal(whereabouts(exits=everywhere), host)[0] is Answer.HOST_UNREACHABLE
    assert everywhere.asked == []


@pytest.mark.parametrize("place", [9, 77])
def test_a_mesh_address_that_nobody_has_is_unreachable(place: int) -> None:
    everywhere = Everywhere()
    addresses = CA.mesh[place], mesh_prefix(CA.network)[place]
    said = [refusal(whereabouts(exits=everywhere), address) for address in addresses]

    assert [answer for answer, _ in said] == [Answer.HOST_UNREACHABLE] * 2
    assert "pulse status" in said[0][1]
    assert everywhere.asked == []


@pytest.mark.parametrize("host", ["me.pulse", "web.me.pulse", ME.node_id, ME.addresses.v4])
def test_this_machine_is_reached_without_the_proxy(host: Host) -> None:
    answer, text = refusal(whereabouts(), host)

    assert answer is Answer.NOT_ALLOWED
    assert "without the proxy" in text


@pytest.mark.parametrize("host", ["example.com", "vm-01", "192.168.7.1", "2001:db8::1"])
def test_all_else_is_at_an_exit_under_the_name_it_was_asked_for(host: str) -> None:
    asked: Host = ip_address(host) if host[0].isdigit() else host

    assert whereabouts(exits=Everywhere()).find(asked) == Place(EXIT, host, beyond=True)
    answer, text = refusal(whereabouts(), asked)
    assert answer is Answer.NETWORK_UNREACHABLE
    assert "pulse route list" in text


def records(*said: str) -> Sequence[ZoneRecord]:
    return [ZoneRecord(name, kind, value) for name, kind, value in map(str.split, said)]


def test_zone_records_say_where_a_name_is_before_nodes_do() -> None:
    found = whereabouts(
        *records(
            f"db.pulse A {V4}",
            f"six.pulse AAAA {V6}",
            "alias.pulse CNAME db.pulse",
            "shop.pulse CNAME web.vm-01.pulse",
            f"pg.twin.pulse A {V4}",
            "out.pulse A 192.168.7.9",
            "far.pulse CNAME www.example.com",
            "vm-01.pulse TXT hello",
        ),
        exits=Everywhere(),
    )

    assert {name: found.find(f"{name}.pulse") for name in ("db", "six", "alias", "shop", "pg.twin", "vm-01")} == {
        **dict.fromkeys(("db", "alias", "shop", "pg.twin", "vm-01"), Place(VM.node_id, V4)),
        "six": Place(VM.node_id, V6),
    }
    assert found.find("out.pulse") == Place(EXIT, "192.168.7.9", beyond=True)
    assert found.find("far.pulse") == Place(EXIT, "www.example.com", beyond=True)
    assert found.find("twin.pulse").node == TWIN.node_id


@pytest.mark.parametrize("value", ["169.254.169.254", "127.0.0.1"])
def test_a_record_that_could_not_be_written_counts_for_nothing(value: str) -> None:
    assert whereabouts(*records(f"x.vm-01.pulse A {value}")).find("x.vm-01.pulse") == Place(VM.node_id, V4)


def test_a_zone_record_leads_nowhere_that_is_refused() -> None:
    found = whereabouts(*records("x.pulse A 240.0.0.1"), exits=Everywhere())
    assert refusal(found, "x.pulse")[0] is Answer.NOT_ALLOWED


def test_aliases_that_lead_round_end() -> None:
    circle = records("a.pulse CNAME b.pulse", "b.pulse CNAME a.pulse")
    assert refusal(whereabouts(*circle), "a.pulse")[0] is Answer.HOST_UNREACHABLE

    chain = records(*(f"n{i}.pulse CNAME n{i + 1}.pulse" for i in range(LONGEST_CHAIN)))
    last = f"n{LONGEST_CHAIN}.pulse A {V4}"
    assert whereabouts(*chain, *records(last)).find("n0.pulse").node == VM.node_id, "as many as a config may have"
    longer = records("n.pulse CNAME n0.pulse", last)
    assert refusal(whereabouts(*chain, *longer), "n.pulse")[0] is Answer.HOST_UNREACHABLE


def test_an_exit_is_that_of_the_narrowest_range_and_one_that_is_away_is_not_gone_around() -> None:
    wide, narrow = NodeId("a" * 64), NodeId("b" * 64)
    used = {"0.0.0.0/0": wide, "192.168.0.0/16": narrow, "192.168.7.0/24": None}
    exits = RangeExits(lambda: {ip_network(cidr): node for cidr, node in used.items()})
    asked = ("example.com", "8.8.8.8", "192.168.1.1", "192.168.7.9", "2001:db8::1")

    assert [exits.exit_for(each if each[0] == "e" else ip_address(each)) for each in asked] == [
        *(wide, wide, narrow),
        *(None, None),
    ]


def test_names_are_looked_up_by_an_exit_to_the_whole_internet_alone() -> None:
    some = NodeId("a" * 64)

    assert RangeExits(lambda: {ip_network("10.0.0.0/8"): some}).exit_for("example.com") is None
    assert RangeExits(lambda: {ip_network("::/0"): some}).exit_for("example.com") == some
