"""Rules: whom a pattern fits, and what the data plane is told."""

from ipaddress import ip_network

import pytest
from msgspec import structs

from pulse.core.effects import PolicyRule, RangesBehind
from pulse.core.network.hours import Moment, Window
from pulse.core.network.patterns import Subject
from pulse.core.network.policy import Rule, check_rules, compile_rules
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
        (["cidr:10.100.0.2/31"], (DB.handle, NAMELESS.handle)),
        (["cidr:10.100.0.0/30", "db"], (WEB.handle, DB.handle, NAMELESS.handle)),
        (["cidr:10.200.0.0/16"], ()),
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


def test_a_range_is_told_with_the_nodes_that_lead_to_a_part_of_it() -> None:
    leading = [(DB.handle, ip_network("192.168.7.0/24")), (WEB.handle, ip_network("192.168.9.0/24"))]
    rule = Rule("r", ["web"], ["cidr:192.168.0.0/21", "db"], allow=True)
    (told,) = compile_rules([rule], EVERYBODY, behind=leading)

    assert (told.sources_behind, told.destinations) == (RangesBehind(), (DB.handle,))
    assert told.destinations_behind == RangesBehind(("192.168.0.0/21",), (DB.handle,))
    (over,) = compile_rules([structs.replace(rule, expires=1.0)], EVERYBODY, moment=Moment(2.0, trusted=True))
    assert over.destinations_behind == RangesBehind()


def test_everything_else_is_told_as_it_was_signed() -> None:
    told = compiled(Rule("r", ["*"], ["*"], allow=True, protocols=[6], ports=[(80, 90)], redundant=True))

    assert told == PolicyRule(True, None, None, (6,), ((80, 90),), True, "r")


def test_rules_keep_their_order_and_are_many_where_they_are() -> None:
    told = compile_rules([Rule("a", ["web"], ["*"], allow=False), Rule("b", ["*"], ["*"], allow=True)], EVERYBODY)

    assert [(each.allow, each.sources) for each in told] == [(False, (WEB.handle,)), (True, None)]
    assert compile_rules([], EVERYBODY) == ()


@pytest.mark.parametrize("pattern", ["cidr:10.0.0.0/33", "tag:", "tag:Prod", "group:x", "os:linux", "WEB", ""])
def test_a_pattern_this_release_cannot_read_only_ever_denies(pattern: str) -> None:
    allows = compiled(Rule("r", [pattern, "db"], ["*"], allow=True))
    denies = compiled(Rule("r", [pattern, "db"], ["db", pattern], allow=False))

    assert allows.sources == (DB.handle,)
    assert (denies.sources, denies.destinations) == (None, None)


def test_ports_that_are_no_range_are_refused_before_the_data_plane_sees_them() -> None:
    check_rules([Rule("r", ["*"], ["*"], allow=True, ports=[(80, 80), (1, 65535)])])

    with pytest.raises(ProtocolError, match=r"^rule 'r[^\x1b]' has ports 90-80"):
        check_rules([Rule("r\x1b", ["*"], ["*"], allow=True, ports=[(80, 80), (90, 80)])])


# Times

NINE_TO_TEN = Window(0b1, 540, 600)
MONDAY_NINE = 1_790_000_000.0 // 86400 * 86400 + 9 * 3600


@pytest.mark.parametrize(
    ("wall", "trusted", "allows", "denies"),
    [
        (MONDAY_NINE, True, True, True),
        (MONDAY_NINE - 1, True, False, False),
        (MONDAY_NINE + 1800, True, False, False),
        (MONDAY_NINE, False, False, True),
        (MONDAY_NINE + 9000, False, False, True),
    ],
)
def test_a_timed_rule_counts_at_its_time_and_by_a_clock_that_may_be_wrong_only_denies(
    wall: float, trusted: bool, allows: bool, denies: bool
) -> None:
    for allow, applies in ((True, allows), (False, denies)):
        timed = Rule("r", ["*"], ["*"], allow=allow, window=NINE_TO_TEN, expires=MONDAY_NINE + 1800)
        assert timed.applies(Moment(wall, trusted)) == applies
        (told,) = compile_rules([timed], EVERYBODY, moment=Moment(wall, trusted))
        assert (told.sources, told.destinations) == ((None, None) if applies else ((), ()))


def test_rules_that_are_over_leave_no_open_network_behind() -> None:
    over = Rule("r", ["*"], ["*"], allow=True, expires=1.0)

    assert len(compile_rules([over], EVERYBODY, moment=Moment(2.0, trusted=True))) == 1


def test_a_rule_turns_at_the_edges_of_its_window_until_it_ends() -> None:
    timed = Rule("r", ["*"], ["*"], allow=True, window=NINE_TO_TEN, expires=MONDAY_NINE + 1800)

    assert timed.next_turn(MONDAY_NINE - 1) == MONDAY_NINE
    assert timed.next_turn(MONDAY_NINE) == MONDAY_NINE + 1800
    assert timed.next_turn(MONDAY_NINE + 1800) is None
    assert Rule("r", ["*"], ["*"], allow=True).next_turn(0.0) is None
