"""Explanations: who decides, what is nearest, and a command that would change it and does."""

from hypothesis import given

from pulse.core.network.explain import Explanation, Flow, explain
from pulse.core.network.hours import Moment
from pulse.core.network.patterns import Subject
from pulse.core.network.policy import ALWAYS, Rule
from pulse.core.network.rulebook import Rulebook, at
from tests.core.network.nodes import CAM, DB, EVERYBODY, GROUPS, WEB, ports, protocols, rule, rules, subjects

SQL = Flow(CAM, DB, 6, 5432)


def explained(*rules: Rule, flow: Flow = SQL, moment: Moment = ALWAYS) -> Explanation:
    return explain(Rulebook(rules, EVERYBODY, GROUPS, at(moment)), flow, moment)


def lacks(found: Explanation) -> list[str]:
    return [each.text for each in found.nearest.lacks] if found.nearest else []


def test_without_rules_all_is_allowed_and_no_rule_says_so() -> None:
    assert explained() == Explanation(True, None, None, "")


def test_an_allowed_flow_names_the_rule_that_allows_it() -> None:
    assert explained(rule("web", "db"), rule("*", "db", ports=[(5432, 5432)])) == Explanation(True, 1, None, "")


def test_a_node_that_lacks_a_tag_is_told_which_and_how_to_give_it() -> None:
    found = explained(rule("web", "web"), rule("tag:front", "db", protocols=[6], ports=[(5432, 5432)]))

    assert (found.allowed, found.place, found.nearest and found.nearest.place) == (False, None, 1)
    assert lacks(found) == [f"{CAM.node[:12]} lacks tag:front"]
    assert found.fix == f"pulse tag {CAM.node[:12]} front"


def test_a_rule_for_other_ports_is_near_and_the_way_out_is_another_rule() -> None:
    found = explained(rule("group:ops", "db", protocols=[6], ports=[(22, 22)]))

    assert lacks(found) == ["it is for tcp 22"]
    assert found.fix == f"pulse acl add --from {CAM.node[:12]} --to db --proto tcp --ports 5432"


def test_a_rule_that_stands_behind_the_one_that_denies_only_needs_to_be_moved() -> None:
    found = explained(rule("*", "db", allow=False), rule("*", "*"))

    assert (found.place, lacks(found)) == (0, ["rule 1 stands before it"])
    assert found.fix == "pulse acl move 2 1"


def test_what_lacks_more_than_two_things_is_not_near() -> None:
    found = explained(rule("web", "web", protocols=[17]))

    assert found.nearest is None
    assert found.fix.startswith("pulse acl add ")


def test_of_rules_that_lack_one_thing_that_whose_time_is_over_is_nearest() -> None:
    ports, nodes = rule("*", "db", ports=[(22, 22)]), rule("web", "db")
    over = rule("*", "db", expires=1.0)
    found = explained(ports, nodes, over, moment=Moment(2.0, trusted=True))
    other = explained(ports, nodes)

    assert (found.nearest and found.nearest.place, other.nearest and other.nearest.place) == (2, 1)


def test_times_are_named() -> None:
    later = Moment(2000.0, trusted=True)
    over = explained(rule("*", "db", expires=1000.0), moment=later)
    unsure = explained(rule("*", "db", expires=3000.0), moment=later._replace(trusted=False))

    assert lacks(over) == ["its time is over"]
    assert lacks(unsure) == ["it has times, and the clock of this node cannot be trusted"]


def test_what_a_false_scribe_signs_is_no_command_to_paste() -> None:
    found = explained(rule("tag:x; reboot", "db"), rule("group:\x1b[2J", "db"))

    assert found.fix.startswith("pulse acl add ")
    assert lacks(found) == [f"{CAM.node[:12]} is not tag:x; reboot"]
    assert "\x1b" not in "".join(lacks(explained(rule("group:\x1b[2J", "db"))))


def test_groups_and_names_are_named() -> None:
    assert lacks(explained(rule("group:ops", "db"), flow=Flow(DB, WEB, 6, 1))) == [
        "db is not in group:ops",
        "web is not db",
    ]


def test_a_range_is_named_with_the_address_that_is_not_in_it() -> None:
    assert lacks(explained(rule("cidr:10.100.0.1/32", "db"))) == [
        f"{CAM.node[:12]} (10.100.0.3) is not in 10.100.0.1/32"
    ]
    assert explained(rule("cidr:10.100.0.3/32", "cidr:10.100.0.0/16")).allowed
    assert "\x1b" not in "".join(lacks(explained(rule("cidr:\x1b[2J", "db"))))


@given(rules, subjects, subjects, protocols, ports)
def test_the_verdict_is_that_of_the_rules(
    rules: list[Rule], source: Subject, destination: Subject, protocol: int, port: int
) -> None:
    flow = Flow(source, destination, protocol, port)
    found = explained(*rules, flow=flow)

    book = Rulebook(rules, EVERYBODY, GROUPS)
    assert found.allowed == book.allows(*flow)
    assert found.place == book.deciding(*flow)
    assert bool(found.fix) != found.allowed
    assert found.nearest is None or rules[found.nearest.place].allow
