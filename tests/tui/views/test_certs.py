"""Certificates, and what is left of them."""

from pathlib import Path

from pulse.client import connect
from pulse.tui.views.certs import CERTS
from tests.api.fake_control import FakeControl
from tests.tui.asking import asked


def test_one_that_ended_says_so_and_sorts_before_those_that_end(data_dir: Path, control: FakeControl) -> None:
    with connect(data_dir) as client:
        ended, late, _ = asked(client, CERTS)

    assert (ended.cells[0], *ended.cells[2:]) == ("cam-7", "ended", "ended", "no")
    assert (late.cells[0], *late.cells[2:]) == ("db", "6 d", "late", "yes")
    assert ended.order[2] < late.order[2]
