"""Rulebooks: who decides a flow, as a naive reader and the data plane's compiled rules say."""

from ipaddress import ip_address

from hypothesis import given

from pulse.core.effects import PolicyRule
from pulse.core.network.hours import Moment, Window
from pulse.core.network.patterns import Subject
from pulse.core.network.policy import WITH_PORTS, Rule, compile_rules
from pulse.core.network.rulebook import Rulebook, as_if_open, at, untimed
from tests.core.network.nodes import (
    DB,
    EVERYBODY,
    GROUPS,
    WEB,
    naive,
    ports,
    protocols,
    rule,
    rules,
    subjects,
)


@given(rules, subjects, subjects, protocols, ports)
def test_the_first_rule_that_matches_decides(
    rules: list[Rule], source: Subject, destination: Subject, protocol: int, port: int
) -> None:
    book = Rulebook(rules, EVERYBODY, GROUPS)
    place = naive(rules, source, destination, protocol, port)

    assert book.deciding(source, destination, protocol, port) == place
    allowed = not rules if place is None else rules[place].allow
    assert book.allows(source, destination, protocol, port) == allowed


@given(rules, subjects, subjects, protocols, ports)
def test_it_decides_as_the_data_plane_does(
    rules: list[Rule], source: Subject, destination: Subject, protocol: int, port: int
) -> None:
    def matches(told: PolicyRule) -> bool:
        nodes = (told.sources is None or source.handle in told.sources) and (
            told.destinations is None or destination.handle in told.destinations
        )
        spoken = not told.protocols or protocol in told.protocols
        in_range = any(low <= port <= high for low, high in told.ports)
        return nodes and spoken and (not told.ports or (protocol in WITH_PORTS and in_range))

    told = compile_rules(rules, EVERYBODY, GROUPS)
    place = next((place for place, each in enumerate(told) if matches(each)), None)

    assert Rulebook(rules, EVERYBODY, GROUPS).deciding(source, destination, protocol, port) == place


def test_of_an_address_behind_a_node_rules_that_name_its_range_decide_too() -> None:
    rules = [rule("web", "cidr:192.168.7.0/24", allow=False), rule("web", "db"), rule("*", "cidr:10.9.0.0/16")]
    book = Rulebook(rules, EVERYBODY, GROUPS)

    def place(address: str | None) -> int | None:
        return book.deciding(WEB, DB, 6, 22, ip_address(address) if address else None)

    assert [place(each) for each in (None, "192.168.7.3", "192.168.8.3", "10.9.1.1")] == [1, 0, 1, 1]
    assert Rulebook(rules[2:], EVERYBODY, GROUPS).deciding(WEB, DB, 6, 22) is None
    assert Rulebook(rules[2:], EVERYBODY, GROUPS).deciding(WEB, DB, 6, 22, ip_address("10.9.1.1")) == 0


def test_rules_count_by_their_times_or_as_if_those_were_now_or_never() -> None:
    timed = [rule("web", "db", expires=100.0), rule("web", "db", window=Window(0b1, 0, 60))]

    def allows(book: Rulebook) -> int | None:
        return book.deciding(WEB, DB, 6, 22)

    assert allows(Rulebook(timed, EVERYBODY, applies=at(Moment(99.0, trusted=True)))) == 0
    assert allows(Rulebook(timed, EVERYBODY, applies=at(Moment(99.0, trusted=False)))) is None
    assert allows(Rulebook(timed, EVERYBODY, applies=as_if_open(100.0))) == 1
    assert allows(Rulebook(timed, EVERYBODY, applies=untimed)) is None
