"""What the mesh was like follows from events alone: from all of them, or from what says them again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core import events
from pulse.core.events import BOUNDED, Event, Kind, Known, Past
from pulse.core.types import LinkType

A, B, RELAY = ("a" * 64, "b" * 64, "c" * 64)


def past(*happened: Event) -> Past:
    made = Past()
    for number, event in enumerate(happened):
        made.happened(event, 100.0 + number)
    return made


def joined(node: str, name: str) -> Event:
    return Event(Kind.JOIN, {"node": node, "name": name, "v4": "10.100.0.1"})


def up(node: str, link: str = "quic", via: str = "") -> Event:
    return Event(Kind.UP, {"node": node, "link": link, "via": via})


def test_a_node_joins_and_is_reached_and_is_lost() -> None:
    found = past(joined(A, "laptop"), up(A), Event(Kind.PATH, {"node": A, "link": "websocket", "via": RELAY}))
    assert found.nodes[A] == Known("laptop", "10.100.0.1", link="websocket", via=RELAY, since=102.0)

    found.happened(Event(Kind.DOWN, {"node": A}), 200.0)
    assert found.nodes[A] == Known("laptop", "10.100.0.1", since=200.0)


@pytest.mark.parametrize("kind", [Kind.START, Kind.STOP])
def test_a_node_that_starts_or_stops_reaches_nobody(kind: Kind) -> None:
    found = past(Event(Kind.START), joined(A, "laptop"), up(A), Event(kind))

    assert (found.running, found.nodes[A].link, found.nodes[A].since) == (kind is Kind.START, LinkType.NONE, 103.0)


def test_who_is_revoked_is_no_node_any_more_and_keeps_its_name() -> None:
    found = past(joined(A, "laptop"), up(A), Event(Kind.REVOKE, {"node": A, "name": "laptop"}))

    assert (found.nodes, found.revoked, found.name_of(A)) == ({}, {A: "laptop"}, "laptop")


def test_an_edit_gives_a_number_and_a_name() -> None:
    found = past(
        joined(A, "laptop"),
        Event(Kind.EDIT, {"version": "1.7", "by": RELAY}),
        Event(Kind.EDIT, {"version": "1.7", "node": A, "name": "vm-01", "was": "laptop"}),
    )

    assert (found.config, found.nodes[A].name) == ("1.7", "vm-01")


def test_roles_name_the_scribe() -> None:
    found = past(Event(Kind.ROLES, {"epoch": 3, "scribe": RELAY, "operators": ""}))

    assert (found.roles, found.scribe) == (3, RELAY)


def test_what_a_later_release_tells_and_nodes_nobody_knows_change_nothing() -> None:
    for event in (Event("later", {"node": A}), up(A), Event(Kind.EDIT, {"node": A, "name": "vm"}), Event(Kind.GAP)):
        assert past(event).nodes == {}


def test_nodes_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_NODES", 1)

    assert [*past(joined(A, "a"), joined(B, "b")).nodes] == [A]


def test_what_strangers_can_cause_gives_way_and_trust_does_not() -> None:
    assert {Kind.REFUSE, Kind.PATH, Kind.UP, Kind.DOWN} <= BOUNDED
    assert not BOUNDED & {Kind.JOIN, Kind.ISSUE, Kind.REVOKE, Kind.EDIT, Kind.ROLES, Kind.CLONE, Kind.START, Kind.STOP}


nodes = st.sampled_from([A, B, RELAY])
anything = st.one_of(
    st.builds(joined, nodes, st.sampled_from(["laptop", "vm"])),
    st.builds(up, nodes, st.sampled_from(["quic", "websocket"]), st.sampled_from(["", RELAY])),
    st.builds(lambda node: Event(Kind.DOWN, {"node": node}), nodes),
    st.builds(lambda node: Event(Kind.REVOKE, {"node": node, "name": "gone"}), nodes),
    st.builds(Event, st.sampled_from([Kind.START, Kind.STOP])),
    st.builds(lambda n: Event(Kind.EDIT, {"version": f"1.{n}"}), st.integers(1, 9)),
    st.builds(lambda n: Event(Kind.ROLES, {"epoch": n, "scribe": A}), st.integers(1, 9)),
)


@given(st.lists(anything, max_size=12))
def test_what_says_it_again_leads_to_the_same(happened: list[Event]) -> None:
    found = past(*happened)

    assert past(*found.again()) == found
