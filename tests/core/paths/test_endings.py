"""Reasons for which links and dials ended, as people read them."""

from pathlib import Path

import pytest

from pulse.core.paths.endings import _ECHOES, ELSE, in_words


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("8 echoes in a row are missing", "no answer for about 2 s"),
        ("silent for 3.5 s", "no answer for 3.5 s"),
        ("closed by peer: leaving", "it was stopped"),
        ("closed by peer: not trusted any more", "it does not trust this node any more"),
        ("closed by peer: certificate", "it refuses this node's certificate"),
        ("closed by peer", "it closed the link"),
        ("closed by peer: ", "it closed the link"),
        ("closed by peer: full moon", "it closed the link: full moon"),
        ("silent for 3.5 s; over WebSocket: closed by peer: protocol",
         "no answer for 3.5 s; over WebSocket: it says that this node broke the protocol"),
    ],
)  # fmt: skip
def test_reasons_are_told_in_plain_words(reason: str, told: str) -> None:
    assert in_words(reason) == told


@pytest.mark.parametrize("text", [ELSE, _ECHOES, "silent for ", "closed by peer: ", "leaving", "not trusted any more"])
def test_the_data_plane_still_says_so(text: str) -> None:
    sources = Path(__file__).parents[3] / "crates" / "pulse-dataplane" / "src"
    assert any(text in source.read_text(encoding="utf-8") for source in sources.rglob("*.rs"))


@pytest.mark.parametrize("reason", ["", "no answer", "nothing listens there", "silent for long"])
def test_what_is_plain_or_not_known_stays_as_it_is(reason: str) -> None:
    assert in_words(reason) == reason
