"""Mistyped words find what was meant."""

from pulse.core.likeness import meant, nearest

KNOWN = ("start", "stop", "status", "token")


def test_the_word_most_alike_is_found() -> None:
    assert nearest("tokn", KNOWN) == "token"


def test_a_word_of_the_very_letters_goes_first() -> None:
    assert nearest("satrt", ("stars", "start")) == "start"


def test_nothing_is_near_to_nonsense() -> None:
    assert nearest("xyzzy", KNOWN) == ""
    assert nearest("token", ()) == ""


def test_a_hint_follows_a_sentence_and_nothing_follows_nonsense() -> None:
    assert meant("tokn", KNOWN) == " Did you mean token?"
    assert meant("xyzzy", KNOWN) == ""
