"""Details: all cells of a line, and for a node the verdict of `why`."""

from pathlib import Path

from pulse.tui.model import line, word
from pulse.tui.reasons import described
from tests.api.fake_control import FakeControl

LAPTOP = line("9" * 64, ("laptop", word("laptop")))


def test_a_node_is_told_with_why_it_is_reached_so(data_dir: Path, control: FakeControl) -> None:
    told = described(data_dir, "nodes", ["NODE"], LAPTOP)

    assert control.ways.reason.sentence in told
    assert f"what would help: {control.ways.reason.help}" in told
    assert "9" * 64 in told


def test_of_a_node_that_is_gone_the_error_is_told(data_dir: Path) -> None:
    assert "no pulse node is running here" in described(data_dir, "nodes", ["NODE"], LAPTOP)


def test_other_lines_are_told_cell_by_cell(data_dir: Path) -> None:
    assert described(data_dir, "policy", ["RULE"], line("1", ("allow a → b", word("a")))) == "rule  allow a → b"
