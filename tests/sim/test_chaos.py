"""Ten minutes in the life of many meshes: whatever happens, who can reach each other does, and nothing breaks.

One seed again, with its diagram: `python -m tests.sim.runs 17`.
"""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from tests.sim import runs, seeds

CHUNK = 5
CHUNKS = [tuple(seeds.chosen()[at : at + CHUNK]) for at in range(0, len(seeds.chosen()), CHUNK)]

pytestmark = pytest.mark.timeout(900)
"""A chunk waits for those before it."""

Results = dict[tuple[int, ...], Future[list[str]]]


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    """All chunks, under way on all processors."""
    with runs.pool() as workers:
        # The last has the largest mesh: it begins first, or all others would wait for it in the end.
        yield {chunk: workers.submit(runs.stories, chunk) for chunk in [*CHUNKS[-1:], *CHUNKS[:-1]]}
        workers.shutdown(cancel_futures=True)


@pytest.mark.parametrize("chunk", CHUNKS, ids=lambda chunk: f"{chunk[0]}-{chunk[-1]}")
def test_whoever_can_reach_each_other_does_after_every_storm(results: Results, chunk: tuple[int, ...]) -> None:
    failed = results[chunk].result()

    assert not failed, "\n".join(failed)
