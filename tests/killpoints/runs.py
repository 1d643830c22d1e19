"""Kills real daemons at every system call by which they write, one after the other, and looks what is left.

python -m tests.killpoints.runs                 every point of every story (`make killpoints`)
python -m tests.killpoints.runs join revoke     every point of these
python -m tests.killpoints.runs --spread 2      of each story so many points, evenly spread
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

from tests.killpoints.machine import Point
from tests.killpoints.stories import STORIES, Story, World


@contextmanager
def world(life: int | None = None) -> Iterator[World]:
    """A network of two, gone afterwards; certificates are good for `life` seconds, if not as long as ever."""
    with tempfile.TemporaryDirectory(prefix="killpoints-") as place:
        made = World(Path(place), life)
        try:
            yield made
        finally:
            made.close()


def points(world: World, story: Story) -> list[Point]:
    """Where its victim can be killed: a dry run, after one that makes files and directories there only once."""
    for _ in range(1 if story.once else 2):
        found = story.victim(world).calls_of(story.begin(world))
    assert found, f"{story.name} writes nothing"
    return found


def spread(found: Sequence[Point], count: int) -> list[Point]:
    """So many of the points, evenly spread, the first and the last among them; all if there are no more."""
    if count >= len(found):
        return [*found]
    step = (len(found) - 1) / max(count - 1, 1)
    return [found[round(number * step)] for number in range(count)]


def lives_through(world: World, story: Story, point: Point) -> None:
    """Kill the victim there; raises AssertionError if anything that must hold does not."""
    act = story.begin(world)
    victim = story.victim(world)
    done = victim.killed_at(point, act)
    victim.start(*(("--ca", "--scribe") if victim is world.keeper else ()))
    world.met()
    story.check(world, done)
    world.after_all()


def main() -> None:
    """Run what the command line names; an error ends it with the point that caused it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stories", nargs="*", metavar="story", help=", ".join(STORIES))
    parser.add_argument("--spread", type=int, default=10_000)
    asked = parser.parse_args()
    stories = [STORIES[name] for name in asked.stories or STORIES]
    for life in sorted({story.life for story in stories if not story.once}, key=str):
        with world(life) as lived:
            for story in stories:
                if story.life == life and not story.once:
                    tell(lambda: nullcontext(lived), story, asked.spread)
    for story in stories:
        if story.once:
            tell(partial(world, story.life), story, asked.spread)


def tell(where: Callable[[], AbstractContextManager[World]], story: Story, most: int) -> None:
    """Kill its victim at `most` of its points, one after the other."""
    with where() as lived:
        found = points(lived, story)
    for point in spread(found, most):
        print(f"{story.name}: killed at {point.call} {point.when}", flush=True)
        with where() as lived:
            lives_through(lived, story, point)
    print(f"{story.name}: {len(found)} points", flush=True)


if __name__ == "__main__":
    main()
