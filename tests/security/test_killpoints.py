"""kill -9 where daemons write: what was acknowledged is kept, and all comes up again. All points: `make killpoints`."""

from collections.abc import Iterator

import pytest

from tests.killpoints.runs import lives_through, points, spread, world
from tests.killpoints.stories import STORIES, World

pytestmark = pytest.mark.e2e

EACH = 2
"""Points of each story that are tried here."""

LONG = {"edit", "ask"}
"""An operator waits for the scribe that was killed; what is written is what `name` and `hear` write."""

SLICE = [name for name, story in STORIES.items() if not story.renews and name not in LONG]
"""Waiting for renewals takes minutes."""


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
