"""The diagram of a failure: columns that line up, and each kind of thing that happens in words."""

import re
from typing import get_args

import pytest

from pulse.core import effects, facts, messages
from pulse.core.effects import SendMessage
from pulse.core.types import LinkId, NodeId
from tests.sim.diagram import SHOWN, WIDTH, draw
from tests.sim.flow import Flow

LINK, NODE = LinkId(7), NodeId("ab" * 32)

SHOWN_MESSAGES = [
    (messages.Prune(), "Prune"),
    (messages.Digest(bytes(2048)), "Digest"),
    (messages.NodeRecords([b"a", b"b"]), "Records[2]"),
    (messages.Have(bytes(24)), "Have[2]"),
    (messages.Have(bytes(12), b"12"), "Have[1] of 2 buckets"),
    (messages.Want(bytes(12), bytes(64)), "Want[1+2]"),
    (messages.Objects([messages.Item(2, b"x"), messages.Item(7, b"x")]), "Objects 2 7"),
    (messages.Observed("192.0.2.1", 443), "Observed 192.0.2.1:443"),
    (messages.Leaving("stopped"), "Leaving"),
]


def drawn(*things: tuple[str, object, str]) -> list[str]:
    flow = Flow(hashed=False)
    for node, what, other in things:
        flow.add(1.5, node, what, other)
    return draw(flow, ["alice", "bob", "carol"], 2.0).splitlines()


@pytest.mark.parametrize(("message", "text"), SHOWN_MESSAGES)
def test_a_message_is_an_arrow_from_column_to_column(message: messages.Wire, text: str) -> None:
    _, right, left = drawn(
        ("alice", SendMessage(LINK, messages.encode(message)), "carol"),
        ("carol", SendMessage(LINK, messages.encode(message)), "alice"),
    )

    assert right.index("├") == left.index("◀") == 11
    assert right.index("▶") == left.index("┤") == 11 + 2 * WIDTH
    assert text in right
    assert text in left


def test_bytes_that_are_no_message_are_drawn_too() -> None:
    _, line = drawn(("alice", SendMessage(LINK, b"\xc1"), "carol"))

    assert "? undecodable message" in line


def test_what_happened_at_a_node_stands_in_its_column_and_what_happened_to_all_across() -> None:
    head, mine, everywhere = drawn(("bob", "bob is killed", ""), ("", "healed", ""))

    assert mine.index("bob is killed") == head.index("bob") + 2
    assert re.search("═ healed ═", everywhere)


def test_only_what_concerns_the_columns_is_drawn_and_only_the_newest() -> None:
    flow = Flow(hashed=False)
    flow.add(1.0, "dave", "dave is killed")
    for n in range(SHOWN + 3):
        flow.add(1.0, "alice", f"note {n}")
    lines = draw(flow, ["alice"], 2.0).splitlines()

    assert lines[1].strip() == "(3 lines before)"
    assert len(lines) == SHOWN + 2
    assert lines[-1].endswith(f"note {SHOWN + 2}")


@pytest.mark.parametrize(
    "what",
    [
        effects.Dial(3, "192.0.2.1:443", None),
        effects.CloseLink(LINK, "protocol"),
        effects.CloseSession(NODE, "the node restarted"),
        effects.FetchConfig(NODE),
        effects.Log("link up", effects.INFO, {"node": "ab"}),
        effects.StoreBoot(4),
        effects.StoreRoles(1, b"x"),
        effects.TablesChanged({}, ()),
        effects.PolicyChanged(()),
        facts.LinkDown(LINK, NODE, "timeout"),
        facts.LinkSuspect(LINK, NODE, suspect=True),
        facts.LinkMoved(LINK, NODE, "192.0.2.1:443"),
        facts.DialFailed(3, "timeout", ""),
        facts.AddressesChanged(("192.0.2.1:443",)),
        facts.PathSuspected(NODE, LINK, suspect=False),
        facts.PinsChanged({NODE: NODE}),
        facts.ConfigFetched(NODE, None),
        facts.PeerWanted(NODE),
        facts.FlowDenied(NODE, "ssh", 6, 22, 0),
    ],
    ids=lambda what: type(what).__name__,
)
def test_what_a_node_was_told_or_did_is_put_in_words(what: object) -> None:
    assert isinstance(what, get_args(effects.Effect) + get_args(facts.Fact))
    _, line = drawn(("alice", what, ""))

    assert re.search(r"│ \S+", line)
