"""Tokens, and what is left of them."""

from pathlib import Path

from pulse.client import connect
from pulse.tui.views.tokens import TOKENS
from pulse.wording import DASH
from tests.api.fake_control import TOKEN, FakeControl
from tests.tui.asking import asked


def test_a_token_for_ever_and_for_any_number_says_so(data_dir: Path, control: FakeControl) -> None:
    with connect(data_dir) as client:
        (found,) = asked(client, TOKENS)

    assert found.key == TOKEN.id, "the whole of it: others may begin alike"
    assert found.cells == ("abababababab", "good", "0/1", "never", DASH, "db", DASH)
