"""What the API asks of a node is all there is to ask."""

import inspect

from pulse.api.control import Control
from tests.api.fake_control import FakeControl


def test_a_node_needs_nothing_but_the_protocol() -> None:
    node: Control = FakeControl()

    asked = {name for name, _ in inspect.getmembers(Control, inspect.iscoroutinefunction)}
    assert asked == {name for name, _ in inspect.getmembers(node, inspect.iscoroutinefunction)}
