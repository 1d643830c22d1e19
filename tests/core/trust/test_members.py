"""Members: the newest certificate of each node, and what people may call it."""

import pytest

from pulse.core.trust import members as module
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.members import Members, Naming, label
from pulse.errors import Conflict, NotFound
from tests.authority import NOW, Ca, node
from tests.mint import member

CA = Ca()
WEB = member(CA, "web", 1, name="web")
LAPTOP = member(CA, "laptop", 2, host="laptop")
NAMELESS = member(CA, "nameless", 3)


def members(*certificates: Certificate) -> Members:
    """Members who showed these."""
    known = Members()
    for each in certificates:
        assert known.certificate_seen(each)
    return known


# Who


def test_the_newest_certificate_of_a_node_stays() -> None:
    renewed = member(CA, "web", 1, name="web", not_before=NOW + 60)
    known = members(WEB, renewed)

    assert not known.certificate_seen(WEB)
    assert not known.certificate_seen(renewed)
    assert known.get(node("web")) is renewed
    assert list(known.all()) == [renewed]


def test_a_revoked_node_is_gone() -> None:
    known = members(WEB)

    assert known.node_revoked(WEB.node_id)
    assert known.get(WEB.node_id) is None
    assert not known.node_revoked(WEB.node_id)


def test_a_full_table_loses_the_certificate_that_ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MEMBERS", 2)
    ending = member(CA, "ending", 4, not_after=NOW + 60)
    known = members(WEB, ending)

    renewed = member(CA, "web", 1, not_before=NOW + 60)
    known.certificate_seen(renewed)
    assert known.get(ending.node_id) is ending

    known.certificate_seen(LAPTOP)
    assert list(known.all()) == [renewed, LAPTOP]


# What people call them


@pytest.mark.parametrize("text", ["web", "WEB", " web ", "web.pulse"])
def test_a_node_is_found_by_its_name_however_it_is_typed(text: str) -> None:
    assert members(WEB, LAPTOP).resolve(text) is WEB


def test_a_node_is_found_by_the_name_it_asked_for() -> None:
    assert members(WEB, LAPTOP).resolve("laptop") is LAPTOP


def test_a_node_is_found_by_either_mesh_address() -> None:
    known = members(WEB, LAPTOP)

    assert known.resolve("10.100.0.2") is LAPTOP
    assert known.resolve(str(WEB.addresses.v6)) is WEB


@pytest.mark.parametrize("digits", [4, 12, 64])
def test_a_node_is_found_by_the_beginning_of_its_id(digits: int) -> None:
    assert members(WEB, LAPTOP).resolve(WEB.node_id[:digits].upper()) is WEB


@pytest.mark.parametrize("text", ["", ".pulse", "nobody", "10.100.9.9", WEB.node_id[:3], "web2", "fe80::1%eth0"])
def test_what_names_nobody_is_not_found(text: str) -> None:
    with pytest.raises(NotFound, match="pulse status"):
        members(WEB, LAPTOP, NAMELESS).resolve(text)


def test_an_ambiguous_prefix_is_a_conflict_that_lists_the_matches() -> None:
    first, second = _same_beginning()

    with pytest.raises(Conflict, match="fits 2 nodes") as conflict:
        members(first, second).resolve(first.node_id[:4])
    assert first.node_id[:12] in str(conflict.value)
    assert second.node_id[:12] in str(conflict.value)


def test_a_name_two_nodes_bear_is_a_conflict_though_one_only_asked_for_it() -> None:
    with pytest.raises(Conflict):
        members(WEB, member(CA, "impostor", 5, host="web")).resolve("web")


def test_an_exact_name_goes_before_a_prefix() -> None:
    named = member(CA, "other", 5, name=f"{WEB.node_id[:4]}-x")

    assert members(WEB, named).resolve(f"{WEB.node_id[:4]}-x") is named


def test_people_see_the_name_else_the_host_else_the_short_id() -> None:
    both = member(CA, "both", 6, name="db", host="vm-7")

    assert [label(each) for each in (both, WEB, LAPTOP, NAMELESS)] == ["db", "web", "laptop", node("nameless")[:12]]


def _same_beginning() -> tuple[Certificate, Certificate]:
    """Two machines whose ids begin with the same four digits."""
    seen: dict[str, str] = {}
    for number in range(2000):
        name = f"machine {number}"
        other = seen.setdefault(node(name)[:4], name)
        if other != name:
            return member(CA, other, 1), member(CA, name, 2)
    raise AssertionError("no two ids alike")


# What the config calls them


def config_says(names: dict[str, str] | None = None, tags: dict[str, tuple[str, ...]] | None = None) -> Naming:
    """A config that names and tags these machines."""
    return Naming(
        {node(machine): name for machine, name in (names or {}).items()},
        {node(machine): worn for machine, worn in (tags or {}).items()},
    )


def called(naming: Naming, *certificates: Certificate) -> Members:
    """Members under a network config."""
    known = Members(lambda: naming)
    for each in certificates:
        known.certificate_seen(each)
    return known


def test_a_name_of_the_config_goes_before_those_of_the_certificate() -> None:
    known = called(config_says({"web": "www"}), WEB, LAPTOP)

    assert known.label(WEB) == known.label_of(WEB.node_id) == "www"
    assert known.resolve("www") is WEB
    with pytest.raises(NotFound):
        known.resolve("web")
    assert known.bearer("web") is None


def test_a_name_the_config_gave_away_is_not_that_of_its_first_bearer() -> None:
    known = called(config_says({"nameless": "web"}), WEB, NAMELESS)

    assert known.resolve("web") is NAMELESS
    assert known.label(WEB) == WEB.node_id[:12]


def test_a_name_of_a_node_nobody_met_finds_nobody_else() -> None:
    known = called(config_says({"stranger": "web"}), WEB)

    with pytest.raises(NotFound):
        known.resolve("web")
    assert known.label_of(node("stranger")) == "web"
    assert known.label_of(node("nobody")) == node("nobody")[:12]


def test_who_bears_a_name_by_its_certificate_is_known() -> None:
    known = called(Naming(), WEB, LAPTOP)

    assert (known.bearer("web"), known.bearer("laptop"), known.bearer("x")) == (WEB, LAPTOP, None)


def test_an_ambiguous_word_lists_nodes_by_the_names_people_see() -> None:
    first, second = _same_beginning()
    known = Members(lambda: Naming({first.node_id: "one"}))
    for each in (first, second):
        known.certificate_seen(each)

    with pytest.raises(Conflict, match=rf"one \({first.node_id[:12]}\)"):
        known.resolve(first.node_id[:4])


def test_tags_are_those_of_the_config_if_it_says_any_even_none() -> None:
    tagged = member(CA, "tagged", 7, tags=("db", "prod"))
    assert called(Naming(), tagged).tags(tagged) == ("db", "prod")
    assert called(config_says(tags={"tagged": ("web",)}), tagged).tags(tagged) == ("web",)
    assert called(config_says(tags={"tagged": ()}), tagged).tags(tagged) == ()


def test_rules_know_a_node_by_what_was_signed_for_it_and_never_by_what_it_asked_for() -> None:
    known = members(WEB, LAPTOP, NAMELESS)
    assert [known.rule_name(each) for each in (WEB, LAPTOP, NAMELESS)] == ["web", None, None]

    known.naming = lambda: Naming({LAPTOP.node_id: "web"})
    assert [known.rule_name(each) for each in (WEB, LAPTOP)] == [None, "web"]


def test_a_node_is_named_with_the_first_digits_of_its_id_met_or_not() -> None:
    known = members(WEB)

    assert known.named(WEB.node_id) == f"web ({WEB.node_id[:12]})"
    assert known.named(node("stranger")) == f"{node('stranger')[:12]} ({node('stranger')[:12]})"


def test_a_name_that_nobody_has_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r'no node is called "labtop"\. Did you mean laptop\? See the nodes'):
        members(WEB, LAPTOP).resolve("labtop")
    with pytest.raises(NotFound, match=r'no node is called "zzzz"\. See the nodes'):
        members(WEB, LAPTOP).resolve("zzzz")
