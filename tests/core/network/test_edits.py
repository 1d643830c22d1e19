"""Edits travel as bytes: what comes back is what was said, and what nobody can mean is refused."""

import gc
import sys
from collections.abc import Callable

import pytest

from pulse.core.messages import Wire, pack
from pulse.core.network.draft import Draft
from pulse.core.network.edits import EDITS_LIMIT, Edit, Edits, edited, read_edits
from pulse.core.network.naming import NodeNamed, NodeTagged, NodeUntagged
from pulse.core.network.netconfig import Config, Settings
from pulse.core.network.ruling import GroupSet, RuleAdded, RuleRemoved
from pulse.core.trust.members import Members, Naming
from pulse.errors import ProtocolError, Refused
from tests.authority import MESH, NOW, Ca, node
from tests.mint import member

CA = Ca()

RELAY = bytes(range(32))


class Later(Wire, frozen=True, tag=250):
    """An edit of a later release."""

    node: bytes


class Said(Wire, frozen=True):
    """Edits with anything in them."""

    edits: list[Wire]


def test_they_come_back_as_they_were_said() -> None:
    said = Edits([NodeNamed(RELAY, "relay-01"), NodeTagged(RELAY, "infra"), NodeUntagged(RELAY, "x")], (1, 7), True)
    assert read_edits(pack(said)) == said


def test_their_bytes_stay_what_they_are() -> None:
    said = Edits([NodeNamed(b"n" * 32, "relay-01"), NodeTagged(b"n" * 32, "infra")])
    node = "c420" + "6e" * 32
    named, tagged = "93" + "01" + node + "a872656c61792d3031", "93" + "02" + node + "a5696e667261"
    assert pack(said).hex() == "94" + "92" + named + tagged + "c0" + "c2" + "c0"


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", pack(Said([Later(RELAY)])), pack(Said([NodeNamed(b"short", "x")])), pack(Edits([]))[:-1]],
    ids=["nothing", "nonsense", "a later release's", "no node", "cut"],
)
def test_what_cannot_be_read_is_a_broken_protocol(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="undecodable edits"):
        read_edits(data)


def test_there_are_so_many_together_and_no_more() -> None:
    with pytest.raises(ProtocolError, match="edits"):
        read_edits(pack(Edits([NodeTagged(RELAY, "x")] * (EDITS_LIMIT + 1))))


def work(edits: list[Edit], start: Draft) -> int:
    """Functions called to make these edits, of Python and of C."""
    calls = 0

    def called(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    # What the collector calls, whenever it comes, is not of these.
    gc.disable()
    sys.setprofile(called)
    try:
        edited(start, Edits(edits), NOW)
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def crowd(count: int) -> Draft:
    members = Members()
    for number in range(1, count + 1):
        members.certificate_seen(member(CA, f"n{number}", number, name=f"n{number}", tags=("front",)))
    return Draft(Config(1, 1, Settings(str(MESH))), Naming(), members)


PLENTY: dict[str, Callable[[int], Edit]] = {
    "rules": lambda n: RuleAdded([f"n{n % 9 + 1}", "tag:front"], ["*"], allow=True),
    "groups": lambda n: GroupSet(f"g{n % 99}", ["n1", "tag:front"]),
    "tags": lambda n: NodeTagged(bytes.fromhex(node(f"n{n % 9 + 1}")), "edge"),
}


@pytest.mark.parametrize("kind", PLENTY)
def test_twice_as_many_edits_are_twice_the_work(kind: str) -> None:
    few, many = (work([PLENTY[kind](n) for n in range(count)], crowd(60)) for count in (200, 400))

    assert many < few * 2.2


def test_the_nodes_are_looked_through_as_often_for_many_edits_as_for_one() -> None:
    one, many = (work([PLENTY["rules"](0)] * count, crowd(300)) / count for count in (1, 100))

    assert many < one / 10


def test_removing_rules_looks_for_each_of_them_once() -> None:
    full = edited(crowd(3), Edits([PLENTY["rules"](0)] * 400), NOW)
    few, many = (work([RuleRemoved(f"r{n}") for n in range(1, count + 1)], full) for count in (100, 200))

    assert many < few * 2.2


def test_as_many_rules_as_there_can_be_are_made_together_and_no_more() -> None:
    rules = [PLENTY["rules"](0)] * 1024
    assert len(edited(crowd(3), Edits(rules), NOW).config.acl) == 1024

    with pytest.raises(Refused, match=r"1025 edits of rules.*; 1024 are made together\.\nSend them in several"):
        edited(crowd(3), Edits([*rules, GroupSet("x", ["n1"])]), NOW)
    edited(crowd(3), Edits([PLENTY["tags"](0)] * EDITS_LIMIT), NOW)


def test_names_and_rules_by_turns_are_refused_with_the_order_that_is_not() -> None:
    named, rule = NodeNamed(bytes.fromhex(node("n1")), "n1"), PLENTY["rules"](0)
    edited(crowd(3), Edits([named, rule] * 16), NOW)

    with pytest.raises(Refused, match=r"17 times.*\nPut the names first"):
        edited(crowd(3), Edits([named, rule] * 17), NOW)
