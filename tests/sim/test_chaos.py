"""Ten minutes in the life of many meshes: whatever happens, who can reach each other does, and nothing breaks.

One seed again, with its diagram: `python -m tests.sim.runs 17`.
"""

import pytest

from tests.sim import seeds
from tests.sim.backstage import Backstage, backstage_of

CHUNK = 5
CHUNKS = [tuple(seeds.chosen()[at : at + CHUNK]) for at in range(0, len(seeds.chosen()), CHUNK)]

pytestmark = pytest.mark.timeout(900)
"""The first chunk waits for nearly all: those with the largest meshes were begun before it."""


@pytest.fixture
def backstage(request: pytest.FixtureRequest) -> Backstage:
    """Where the scenarios are under way since the first test began."""
    return backstage_of(request.session)


@pytest.mark.parametrize("chunk", CHUNKS, ids=lambda chunk: f"{chunk[0]}-{chunk[-1]}")
def test_whoever_can_reach_each_other_does_after_every_storm(backstage: Backstage, chunk: tuple[int, ...]) -> None:
    failed = [told for seed in chunk if (told := backstage.result(seed)) is not None]

    assert not failed, "\n".join(failed)
