"""What names say: nodes by name, id and address, what they announce, and zone records among them."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest

from pulse.core.network import directory
from pulse.core.network.directory import Directory, Host, Offer, reverse_zones
from pulse.core.network.zones import ALIKE_LIMIT, ZoneRecord
from pulse.core.types import NodeId

V4, V6 = IPv4Network("10.100.0.0/16"), IPv6Network("fd12:3456:789a::/48")


def host(name: str, number: int, *offers: Offer, node: str = "") -> Host:
    """The node of that name, whose addresses end in that number."""
    found = NodeId(node or f"{number:02x}ab" * 16)
    return Host(found, (name,), IPv4Address(f"10.100.0.{number}"), IPv6Address(f"fd12:3456:789a::{number:x}"), offers)


POSTGRES = Offer("postgres", 5432, 0)
ME, VM, DB = host("me", 1), host("vm-01", 2), host("db", 3, POSTGRES, Offer("http", 80, 5))
HIDDEN = host("secret", 9, POSTGRES)


def known(
    *records: ZoneRecord,
    hosts: Sequence[Host] = (ME, VM, DB),
    hidden: Sequence[Host] = (HIDDEN,),
    v4: IPv4Network | None = V4,
) -> Directory:
    return directory.made(ME.node, hosts, hidden, records, v4, V6, 7)


def said(of: Directory, name: str) -> list[str] | None:
    """`TYPE value` of all it says, or None if there is no such name."""
    labels = tuple(name.split("."))
    assert of.apex(labels) is not None
    found = of.at(labels)
    return None if found is None else [f"{each.kind} {each.value}" for each in found]


AT_VM = ["A 10.100.0.2", "AAAA fd12:3456:789a::2"]


@pytest.mark.parametrize("name", ["vm-01.pulse", f"{VM.node[:4]}.pulse", f"{VM.node[:12]}.pulse", "a.b.vm-01.pulse"])
def test_a_node_is_there_by_name_by_the_first_digits_of_its_id_and_below(name: str) -> None:
    assert said(known(), name) == AT_VM


@pytest.mark.parametrize("name", ["vm-02.pulse", "02a.pulse", "ffff.pulse", "_x.vm-01.pulse", "_tcp.vm-01.pulse"])
def test_what_is_no_node_is_no_name(name: str) -> None:
    assert said(known(), name) is None


def test_digits_that_fit_two_nodes_fit_none() -> None:
    twins = (ME, host("one", 4, node="abcd1" + "0" * 59), host("two", 5, node="abcd2" + "0" * 59))
    assert said(known(hosts=twins), "abcd.pulse") is None
    assert said(known(hosts=twins), "abcd2.pulse") == ["A 10.100.0.5", "AAAA fd12:3456:789a::5"]


def test_a_name_that_two_nodes_have_leads_to_neither_and_they_are_shown_by_their_ids() -> None:
    twins = known(hosts=(ME, host("vm", 4), host("vm", 5)))
    assert said(twins, "vm.pulse") is None
    assert said(twins, "4.0.100.10.in-addr.arpa") == [f"PTR {('04ab' * 16)[:12]}.pulse"]


def test_an_address_has_its_nodes_name() -> None:
    at = known()
    assert said(at, "3.0.100.10.in-addr.arpa") == ["PTR db.pulse"]
    assert said(at, DB.v6.reverse_pointer) == ["PTR db.pulse"]
    assert said(at, "77.0.100.10.in-addr.arpa") is None
    assert said(at, "0.100.10.in-addr.arpa") == []
    assert said(at, "8.100.10.in-addr.arpa") is None
    assert said(at, "03.0.100.10.in-addr.arpa") is None
    assert said(at, "x.3.0.100.10.in-addr.arpa") is None
    assert said(at, "100.10.in-addr.arpa") == []


@pytest.mark.parametrize(
    ("name", "apex"),
    [
        ("vm-01.pulse", "pulse"),
        ("pulse", "pulse"),
        ("example.com", None),
        ("pulse.example.com", None),
        ("arpa", None),
        ("in-addr.arpa", None),
        ("10.in-addr.arpa", None),
        ("1.0.100.10.in-addr.arpa", "100.10.in-addr.arpa"),
        ("1.0.101.10.in-addr.arpa", None),
        ("1.0.x.10.in-addr.arpa", None),
        (DB.v6.reverse_pointer, "a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa"),
        ("9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", None),
        ("b.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", None),
    ],
)
def test_it_is_for_its_own_zones_alone(name: str, apex: str | None) -> None:
    found = known().apex(tuple(name.split(".")))
    assert found == (tuple(apex.split(".")) if apex else None)


def test_a_range_between_two_digits_is_of_several_zones() -> None:
    at = known(v4=IPv4Network("10.100.0.0/20"))
    assert at.apex(("1", "15", "100", "10", "in-addr", "arpa")) == ("15", "100", "10", "in-addr", "arpa")
    assert at.apex(("1", "16", "100", "10", "in-addr", "arpa")) is None
    assert at.apex(("100", "10", "in-addr", "arpa")) is None
    assert said(at, "9.100.10.in-addr.arpa") == []
    assert known(v4=None).apex(("1", "0", "100", "10", "in-addr", "arpa")) is None


def test_services_are_found_at_their_node_and_in_the_whole_mesh() -> None:
    spare = host("spare", 6, Offer("postgres", 6432, 10))
    at = known(ZoneRecord("_postgres._tcp.pulse", "SRV", "20 0 5432 old.example.com"), hosts=(ME, spare, DB))
    assert said(at, "_postgres._tcp.db.pulse") == ["SRV 0 0 5432 db.pulse"]
    assert said(at, "_http._tcp.db.pulse") == ["SRV 5 0 80 db.pulse"]
    assert said(at, "_tcp.db.pulse") == []
    assert said(at, "_tcp.pulse") == []
    assert said(at, "_imap._tcp.db.pulse") is None
    assert said(at, "_postgres._udp.db.pulse") is None
    assert said(at, "_postgres._tcp.pulse") == [
        "SRV 20 0 5432 old.example.com",
        "SRV 0 0 5432 db.pulse",
        "SRV 10 0 6432 spare.pulse",
    ]


def test_of_one_name_and_type_there_are_so_many_at_most() -> None:
    crowd = [host(f"n{number}", number, POSTGRES) for number in range(ALIKE_LIMIT + 9)]
    assert len(said(known(hosts=[*crowd, ME][1:]), "_postgres._tcp.pulse") or ()) == ALIKE_LIMIT


def test_zone_records_go_before_what_a_node_says() -> None:
    at = known(
        ZoneRecord("vm-01.pulse", "TXT", "rack 4"),
        ZoneRecord("postgres.vm-01.pulse", "A", "192.168.7.2"),
        ZoneRecord("db.pulse", "CNAME", "vm-01.pulse"),
        ZoneRecord("a.b.pulse", "TXT", "x"),
        ZoneRecord("c.sub.vm-01.pulse", "TXT", "x"),
    )
    assert said(at, "vm-01.pulse") == [*AT_VM, "TXT rack 4"]
    assert said(at, "postgres.vm-01.pulse") == ["A 192.168.7.2"], "no IPv6 address that leads elsewhere"
    assert said(at, "db.pulse") == ["CNAME vm-01.pulse"]
    assert said(at, "b.pulse") == [], "a name below it is there"
    assert said(at, "sub.vm-01.pulse") == AT_VM
    assert said(at, "x.a.b.pulse") is None


def test_nothing_leads_to_a_hidden_node() -> None:
    at = known(
        ZoneRecord("one.pulse", "A", str(HIDDEN.v4)),
        ZoneRecord("one.pulse", "A", "10.100.0.2"),
        ZoneRecord("two.pulse", "AAAA", str(HIDDEN.v6)),
        ZoneRecord("three.pulse", "CNAME", "x.secret.pulse"),
        ZoneRecord("_pg._tcp.pulse", "SRV", "0 0 1 secret.pulse"),
        ZoneRecord("_pg._tcp.pulse", "SRV", "0 0 1 db.pulse"),
        ZoneRecord("secret.pulse", "TXT", "of it"),
        ZoneRecord(f"x.{HIDDEN.node[:8]}.pulse", "TXT", "of it"),
        ZoneRecord("four.pulse", "TXT", str(HIDDEN.v4)),
    )
    for name in ("secret.pulse", "x.secret.pulse", f"{HIDDEN.node[:8]}.pulse", f"x.{HIDDEN.node[:8]}.pulse"):
        assert said(at, name) is None
    for name in ("two.pulse", "three.pulse", "9.0.100.10.in-addr.arpa", HIDDEN.v6.reverse_pointer):
        assert said(at, name) is None
    assert said(at, "one.pulse") == ["A 10.100.0.2"]
    assert said(at, "_pg._tcp.pulse") == ["SRV 0 0 1 db.pulse"]
    assert said(at, "_postgres._tcp.pulse") == ["SRV 0 0 5432 db.pulse"]
    assert said(at, "four.pulse") == [f"TXT {HIDDEN.v4}"]


def test_records_of_later_releases_are_left_out() -> None:
    assert said(known(ZoneRecord("mail.pulse", "MX", "10 vm-01.pulse")), "mail.pulse") is None


@pytest.mark.parametrize(
    ("network", "zones", "first"),
    [
        ("10.0.0.0/8", 1, "10.in-addr.arpa"),
        ("10.100.0.0/16", 1, "100.10.in-addr.arpa"),
        ("10.100.16.0/20", 16, "16.100.10.in-addr.arpa"),
        ("10.100.7.8/29", 8, "8.7.100.10.in-addr.arpa"),
        ("fd7a:91c2:33::/48", 1, "3.3.0.0.2.c.1.9.a.7.d.f.ip6.arpa"),
        ("fd7a::/47", 2, "0.0.0.0.0.0.0.0.a.7.d.f.ip6.arpa"),
    ],
)
def test_the_reverse_zones_of_a_network_are_those_it_answers_for(network: str, zones: int, first: str) -> None:
    of = ip_network(network)
    found = reverse_zones(of)
    assert (len(found), found[0]) == (zones, first)

    at = replace(known(), v4=of) if isinstance(of, IPv4Network) else replace(known(), v6=of)
    for each in found:
        name = tuple(each.split("."))
        assert at.apex(name) == name
    for address in (of[0], of[of.num_addresses // 2 + 1], of[-1]):
        assert sum(f".{address.reverse_pointer}".endswith(f".{each}") for each in found) == 1
