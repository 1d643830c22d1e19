"""Rules: whom a pattern fits, and what the data plane is told."""

import pytest

from pulse.core.effects import PolicyRule
from pulse.core.network.policy import Rule, Subject, check_rules, compile_rules
from pulse.errors import ProtocolError
from tests.authority import node

WEB = Subject(node("web"), "10.100.0.1", "web", ("front", "prod"))
DB = Subject(node("db"), "10.100.0.2", "db", ("prod",))
NAMELESS = Subject(node("nameless"), "10.100.0.3", None, ())
EVERYBODY = (WEB, DB, NAMELESS)


def compiled(rule: Rule) -> PolicyRule:
    (told,) = compile_rules([rule], EVERYBODY)
    return told


@pytest.mark.parametrize(
    ("patterns", "handles"),
    [
        (["*"], None),
        (["web", "*"], None),
        (["web"], (WEB.handle,)),
        (["tag:prod"], (WEB.handle, DB.handle)),
        ([NAMELESS.node, "db"], (DB.handle, NAMELESS.handle)),
        (["tag:web"], ()),
        (["nobody"], ()),
        (["front"], ()),
        ([WEB.node[:12]], ()),
        ([], ()),
    ],
)
def test_a_pattern_fits_nodes_by_id_name_and_tag(patterns: list[str], handles: tuple[str, ...] | None) -> None:
    told = compiled(Rule("r", patterns, ["db"], allow=True))

    assert (told.sources, told.destinations) == (handles, (DB.handle,))


def test_everything_else_is_told_as_it_was_signed() -> None:
    told = compiled(Rule("r", ["*"], ["*"], allow=True, protocols=[6], ports=[(80, 90)], redundant=True))

    assert told == PolicyRule(True, None, None, (6,), ((80, 90),), True)


def test_rules_keep_their_order_and_are_many_where_they_are() -> None:
    told = compile_rules([Rule("a", ["web"], ["*"], allow=False), Rule("b", ["*"], ["*"], allow=True)], EVERYBODY)

    assert [(each.allow, each.sources) for each in told] == [(False, (WEB.handle,)), (True, None)]
    assert compile_rules([], EVERYBODY) == ()


@pytest.mark.parametrize("pattern", ["cidr:10.0.0.0/8", "tag:", "tag:Prod", "group:x", "WEB", ""])
def test_a_pattern_this_release_cannot_read_only_ever_denies(pattern: str) -> None:
    allows = compiled(Rule("r", [pattern, "db"], ["*"], allow=True))
    denies = compiled(Rule("r", [pattern, "db"], ["db", pattern], allow=False))

    assert allows.sources == (DB.handle,)
    assert (denies.sources, denies.destinations) == (None, None)


def test_ports_that_are_no_range_are_refused_before_the_data_plane_sees_them() -> None:
    check_rules([Rule("r", ["*"], ["*"], allow=True, ports=[(80, 80), (1, 65535)])])

    with pytest.raises(ProtocolError, match=r"^rule 'r[^\x1b]' has ports 90-80"):
        check_rules([Rule("r\x1b", ["*"], ["*"], allow=True, ports=[(80, 80), (90, 80)])])
