"""The roll: nodes by the names and tags of a draft, worked out once for many edits."""

from pulse.core.trust.members import Naming
from tests.core.network.drafts import CAM, DB, WEB, draft


def test_nodes_are_seen_by_the_names_and_tags_of_the_draft() -> None:
    roll = draft().roll

    assert {(each.node, each.name, each.tags) for each in roll.subjects} == {
        (WEB, "web", ("front",)),
        (DB, "db", ("prod",)),
        (CAM, None, ()),
    }
    assert (sorted(roll.names), sorted(roll.tags)) == (["db", "web"], ["tag:front", "tag:prod"])


def test_ids_are_found_by_how_they_begin() -> None:
    roll = draft().roll

    assert [*roll.starting("")] == sorted([WEB, DB, CAM])
    assert [*roll.starting(CAM[:6])] == [CAM]
    assert [*roll.starting(CAM + "0")] == []


def test_other_names_make_another_roll_and_other_rules_do_not() -> None:
    before = draft()
    roll = before.roll

    assert before.renamed(Naming({CAM: "eye"})).roll.names == {"web", "old-db", "eye"}
    assert before.roll is roll
