"""Names swap, one by one or all at once; the rest of what naming does is told by tests/core/network/test_scribe.py."""

from dataclasses import replace

import msgspec
import pytest

from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edits, edited
from pulse.core.network.naming import NamingReplaced, NodeNamed, NodeTagged, NodeUntagged
from pulse.core.network.netconfig import Config, Settings
from pulse.core.network.policy import Rule
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.members import Members, Naming
from pulse.errors import Conflict, NotFound, Refused
from tests.authority import MESH, NOW, Ca, node
from tests.mint import member

CA = Ca()
HOME, CAM = (node_bytes(node(name)) for name in ("home", "cam"))


@pytest.fixture
def draft() -> Draft:
    members = Members()
    members.certificate_seen(member(CA, "home", 1, name="home"))
    members.certificate_seen(member(CA, "cam", 2, name="eye"))
    return Draft(Config(1, 1, Settings(str(MESH))), Naming(), members)


def test_two_nodes_swap_names_over_a_third_one(draft: Draft) -> None:
    swap = Edits([NodeNamed(CAM, "aside"), NodeNamed(HOME, "eye"), NodeNamed(CAM, "home")])
    assert edited(draft, swap, NOW).naming.names == {node("home"): "eye", node("cam"): "home"}


def test_a_name_of_a_certificate_is_taken_until_its_node_has_another(draft: Draft) -> None:
    with pytest.raises(Conflict, match="eye is the name of"):
        edited(draft, Edits([NodeNamed(HOME, "eye")]), NOW)


def test_all_names_are_replaced_at_once_and_rules_go_on_meaning_their_nodes(draft: Draft) -> None:
    rule = Rule("r1", ["home"], ["eye", "tag:infra"], allow=True)
    ruled = replace(draft, config=msgspec.structs.replace(draft.config, acl=[rule], groups={"g": ["eye"]}))

    after = edited(ruled, Edits([NamingReplaced({HOME: "eye", CAM: "home"}, {HOME: ["infra"]})]), NOW)

    assert after.naming.names == {node("home"): "eye", node("cam"): "home"}
    assert after.naming.tags == {node("home"): ("infra",)}
    (moved,) = after.config.acl
    assert (moved.sources, moved.destinations) == (["eye"], ["home", "tag:infra"])
    assert after.config.groups == {"g": ["home"]}


def test_a_name_that_a_rule_uses_does_not_vanish(draft: Draft) -> None:
    named = edited(draft, Edits([NodeNamed(CAM, "cam-7")]), NOW)
    deny = Rule("r1", ["*"], ["cam-7"], allow=False)
    ruled = replace(named, config=msgspec.structs.replace(named.config, acl=[deny]))

    # The name of its certificate counts again, and the rule goes by that.
    assert edited(ruled, Edits([NamingReplaced({}, {})]), NOW).config.acl[0].destinations == ["eye"]
    gone = replace(ruled, members=Members())
    with pytest.raises(Refused, match="cam-7, which nobody would be called"):
        edited(gone, Edits([NamingReplaced({}, {})]), NOW)


def test_a_name_that_was_given_stays_whatever_a_newcomer_asks_to_be_called() -> None:
    members = Members()
    for number, name in enumerate(("home", "cam"), 1):
        members.certificate_seen(member(CA, name, number, host=name))
    config = Config(1, 1, Settings(str(MESH)))
    given = Draft(config, Naming({node("home"): "cam"}), members)
    same = Edits([NamingReplaced({HOME: "cam"}, {})])

    assert edited(given, same, NOW) == given
    for before, wanted in (
        (Draft(config, Naming(), members), same),
        (given, Edits([NamingReplaced({HOME: "cam", CAM: "cam"}, {})])),
    ):
        with pytest.raises(Conflict, match="cam would be the name of"):
            edited(before, wanted, NOW)


def test_a_tag_that_is_not_there_is_answered_with_the_nearest(draft: Draft) -> None:
    tagged = edited(draft, Edits([NodeTagged(HOME, "prod")]), NOW)

    with pytest.raises(NotFound, match=r'has no tag "pord" \(it has: prod\)\. Did you mean prod\?'):
        edited(tagged, Edits([NodeUntagged(HOME, "pord")]), NOW)
