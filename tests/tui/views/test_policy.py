"""Rules, with the flows they decided on."""

from pathlib import Path

from pulse.client import connect
from pulse.tui.views.policy import POLICY
from tests.api.fake_control import FakeControl
from tests.tui.asking import asked


def test_rules_have_their_flows_of_all_nodes(data_dir: Path, control: FakeControl) -> None:
    with connect(data_dir) as client:
        first, _ = asked(client, POLICY)

    assert first.cells[:5] == ("1", "r1", "17", "allow tag:backend → tag:db tcp 5432", "on")


def test_where_the_scribe_does_not_tell_them_those_of_the_node_are_shown(data_dir: Path, control: FakeControl) -> None:
    control.hits.refusal = "relay-01 is no operator"
    with connect(data_dir) as client:
        assert asked(client, POLICY)[0].cells[2] == "8"
