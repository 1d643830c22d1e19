"""What came of an edit, for people."""

from msgspec import structs

from pulse.cli.changes import SHOWN, lines
from tests.api.fake_acls import SQL, changed


def test_of_many_pairs_some_are_shown_and_the_rest_counted() -> None:
    told = lines(changed(SQL, pairs=SHOWN + 7), "added rule 1")

    assert told[:2] == ["added rule 1", "gained  laptop → db-server  tcp 5432"]
    assert len([line for line in told if line.startswith("lost")]) == SHOWN + 1
    assert "lost  … by 7 pairs more" in told


def test_what_was_not_counted_is_said_to_be_there() -> None:
    told = lines(structs.replace(changed(SQL), whole=False), "added rule 1")

    assert "there are more: this changes too much to count it all" in told
