"""Templates, zones and routes in the config: stated whole or not at all, and told to scribes of any release."""

from dataclasses import replace

import pytest
from msgspec import structs

from pulse.core.messages import pack
from pulse.core.network.edits import Edits, read_edits
from pulse.core.network.routes import Route
from pulse.core.network.sections import (
    RecordAdded,
    RecordsRemoved,
    RouteRemoved,
    RouteSet,
    RoutesReplaced,
    SectionEdit,
    TemplateRemoved,
    TemplateSet,
    TemplatesReplaced,
    ZonesReplaced,
)
from pulse.core.network.templates import Template
from pulse.core.network.zones import ALIKE_LIMIT, ZoneRecord, describe_record
from pulse.core.trust.identity import node_bytes
from pulse.errors import Conflict, NotFound, Refused
from tests.authority import node
from tests.core.network.drafts import DB, WEB, after, draft

LAN = Route(node_bytes(DB), "192.168.7.0/24", approved=True)


def test_templates_are_set_replaced_and_taken_away() -> None:
    made = after(draft(), TemplateSet("web", Template(["web"])), TemplateSet("web", Template(["front"])))
    assert made.config.templates == {"web": Template(["front"])}

    assert after(made, TemplatesReplaced({"db": Template(["db"])})).config.templates == {"db": Template(["db"])}
    assert after(made, TemplateRemoved("web")).config.templates == {}
    with pytest.raises(NotFound, match="no template"):
        after(made, TemplateRemoved("db"))
    with pytest.raises(NotFound, match="Did you mean web"):
        after(made, TemplateRemoved("wbe"))
    with pytest.raises(Refused, match="256 are allowed"):
        after(draft(), TemplatesReplaced({f"t{number}x": Template() for number in range(257)}))


def test_records_and_routes_have_one_form_and_one_order() -> None:
    typed = [ZoneRecord("web", "a", "10.9.0.2"), ZoneRecord("db.pulse", "TXT", "x"), ZoneRecord("db", "A", "10.9.0.1")]
    made = after(draft(), ZonesReplaced(typed), RoutesReplaced([LAN, Route(node_bytes(WEB), "::/0")], {}))

    assert [(each.name, each.kind) for each in made.config.zones] == [
        ("db.pulse", "A"), ("db.pulse", "TXT"), ("web.pulse", "A"),
    ]  # fmt: skip
    assert after(made, ZonesReplaced(typed[::-1])) == made
    assert {each.cidr for each in made.config.routes} == {"192.168.7.0/24", "::/0"}


def test_a_route_is_set_in_place_of_itself_and_taken_away() -> None:
    offered = Route(LAN.node, "192.168.7.0/24")
    made = after(draft(), RouteSet(offered), RouteSet(Route(node_bytes(WEB), "::/0")), RouteSet(LAN))

    assert made.config.routes == sorted([LAN, Route(node_bytes(WEB), "::/0")], key=lambda each: each.node)
    assert [each.cidr for each in after(made, RouteRemoved(LAN.node, LAN.cidr)).config.routes] == ["::/0"]
    with pytest.raises(NotFound, match="no route to 10"):
        after(made, RouteRemoved(LAN.node, "10.0.0.0/8"))


@pytest.mark.parametrize(
    ("edit", "error", "said"),
    [
        (ZonesReplaced([ZoneRecord("a", "A", "10.9.0.1"), ZoneRecord("b", "A", "x")]), Refused, "zone record 2"),
        (ZonesReplaced([ZoneRecord("a", "A", "10.9.0.1")] * 2), Conflict, "twice"),
        (RoutesReplaced([LAN, Route(node_bytes(node("x")), "::/0")], {}), NotFound, "route 2: there is no node"),
        (RoutesReplaced([Route(node_bytes(DB), "10.100.0.0/24")], {}), Refused, "route 1: .* in the mesh itself"),
        (RoutesReplaced([LAN], {"0.0.0.0/0": "site"}), Refused, "whole Internet"),
        (TemplateSet("web", Template(["no tag"])), Refused, "cannot be a tag"),
    ],
)
def test_what_cannot_be_stated_changes_nothing(edit: SectionEdit, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        after(draft(), edit)


def test_a_range_of_the_mesh_by_ipv6_is_found_by_its_members() -> None:
    (web, *_) = draft().members.all()
    inside = f"{web.addresses.v6}/128"
    with pytest.raises(Refused, match="in the mesh itself"):
        after(draft(), RoutesReplaced([Route(node_bytes(DB), inside)], {}))


def test_they_travel() -> None:
    said = Edits([
        TemplateSet("web", Template(["web"], "web-*", 60, 1)), TemplateRemoved("web"), TemplatesReplaced({}),
        ZonesReplaced([ZoneRecord("db.pulse", "A", "10.9.0.1")]), RoutesReplaced([LAN], {"10.0.0.0/8": "site"}),
    ])  # fmt: skip
    assert read_edits(pack(said)) == said


# One record


def test_a_record_is_added_beside_the_others_and_taken_away() -> None:
    later = ZoneRecord("mail.pulse", "MX", "10 web.pulse")
    before = draft()
    before = replace(before, config=structs.replace(before.config, zones=[later]))
    one, two = ZoneRecord("db", "a", "10.9.0.1"), ZoneRecord("db", "A", "10.9.0.2")
    both = after(before, RecordAdded(one), RecordAdded(two), RecordAdded(ZoneRecord("db", "TXT", "x")))
    assert [describe_record(each) for each in both.config.zones] == [
        "db.pulse A 10.9.0.1", "db.pulse A 10.9.0.2", "db.pulse TXT x", "mail.pulse MX 10 web.pulse",
    ]  # fmt: skip

    left = after(both, RecordsRemoved("DB.pulse.", "a", "10.9.0.1"), RecordsRemoved("mail", "mx"))
    assert [describe_record(each) for each in left.config.zones] == ["db.pulse A 10.9.0.2", "db.pulse TXT x"]
    assert after(both, RecordsRemoved("db", "A")).config.zones == [ZoneRecord("db.pulse", "TXT", "x"), later]


@pytest.mark.parametrize(
    ("edit", "error", "said"),
    [
        (RecordAdded(ZoneRecord("db", "A", "10.9.0.1")), Conflict, "there twice"),
        (RecordAdded(ZoneRecord("db", "A", "10.9.0.2", 30)), Conflict, "several ttl"),
        (RecordAdded(ZoneRecord("db", "CNAME", "web")), Conflict, "cannot be an alias"),
        (RecordAdded(ZoneRecord("db", "MX", "10 web")), Refused, "no type of record"),
        (RecordsRemoved("db", "TXT"), NotFound, "There is: db.pulse A 10.9.0.1"),
        (RecordsRemoved("db", "A", "10.9.0.9"), NotFound, "There is: db.pulse A 10.9.0.1"),
        (RecordsRemoved("dbb", "A"), NotFound, "Did you mean db.pulse"),
        (RecordsRemoved("else", "A"), NotFound, "pulse dns list"),
        (RecordsRemoved("db.example.com", "A"), Refused, "not under .pulse"),
    ],
)
def test_a_record_that_cannot_be_added_or_is_not_there_changes_nothing(
    edit: SectionEdit, error: type[Exception], said: str
) -> None:
    before = after(draft(), RecordAdded(ZoneRecord("db", "A", "10.9.0.1")))
    with pytest.raises(error, match=said):
        after(before, edit)


def test_of_one_name_and_type_there_are_no_more_than_one_answer_holds() -> None:
    many = [ZoneRecord("db", "TXT", str(number)) for number in range(ALIKE_LIMIT)]
    full = after(draft(), ZonesReplaced(many))
    with pytest.raises(Refused, match="128 are allowed"):
        after(full, RecordAdded(ZoneRecord("db", "TXT", "one more")))
