"""kill -9 where daemons write: what was acknowledged is kept, and all comes up again. All points: `make killpoints`."""

from collections.abc import Iterator

import pytest

from tests.killpoints.machine import Point
from tests.killpoints.runs import lives_through, points, spread, world
from tests.killpoints.stories import STORIES, World, keeper, rotated

pytestmark = pytest.mark.e2e

EACH = 2
"""Points of each story that are tried here."""

LONG = {"edit", "ask"}
"""An operator waits for the scribe that was killed; what is written is what `name` and `hear` write."""

SLICE = [name for name, story in STORIES.items() if story.life is None and name not in LONG]
"""Waiting for renewals takes minutes."""

TURN = rotated(keeper, "turn", until="renewing")
"""The CA's key is replaced up to the step at which the next one signs; what comes after takes its time."""


@pytest.fixture(scope="module")
def lived() -> Iterator[World]:
    with world() as lived:
        yield lived


@pytest.mark.parametrize("name", SLICE)
def test_whoever_is_killed_as_it_writes_comes_up_again_and_nothing_acknowledged_is_lost(
    lived: World, name: str
) -> None:
    story = STORIES[name]
    for point in spread(points(lived, story), EACH):
        lives_through(lived, story, point)


def test_a_ca_killed_as_it_takes_the_step_to_its_next_key_takes_it(lived: World) -> None:
    # Last of all in this world: what was signed under the first key counts for a while only.
    lives_through(lived, TURN, Point("rename", 9))
