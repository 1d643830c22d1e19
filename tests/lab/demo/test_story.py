"""The story of the demo: told in order, judged strictly, taken away when it breaks off."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from pulse.errors import PulseError
from pulse.lab.demo import pair, relay, story
from pulse.lab.demo.stage import Outcome, Scene, Step
from pulse.lab.lab import Lab
from tests.leftovers import leftovers
from tests.namespace import require_root

POINTS = (
    "hash_equal", "wrong_token_refused", "token_reuse_refused", "stranger_refused", "clean",
    "relay_ping", "canary_absent", "direct_after_join", "direct_survives_relay_kill",
)  # fmt: skip


@dataclass
class Told:
    lines: list[str] = field(default_factory=list)

    def begins(self, number: int, title: str) -> None:
        self.lines.append(f"{number} {title}")

    def ends(self, number: int, title: str, figure: str, command: str) -> None:
        self.lines.append(f"{number} {title}: {figure} ({command})")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    require_root()
    before = leftovers()
    yield
    assert leftovers() <= before


def all_well(scene: Scene) -> tuple[str, str]:
    for name in POINTS:
        setattr(scene.outcome, name, True)
    return "fine", "look"


def play(monkeypatch: pytest.MonkeyPatch, *steps: Step, keep: bool = False) -> tuple[Outcome, list[str], list[Lab]]:
    told, kept = Told(), list[Lab]()
    monkeypatch.setattr(story, "STEPS", steps[:-1])
    monkeypatch.setattr(story, "LEAVE", steps[-1])
    return story.run(told, keep=keep, kept=kept.append), told.lines, kept


def test_steps_are_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, lines, _ = play(monkeypatch, Step("first", all_well), Step("last", lambda _: ("gone", "rm")))

    assert outcome.ok
    assert lines[2:] == ["2 first", "2 first: fine (look)", "3 last", "3 last: gone (rm)"]


@pytest.mark.parametrize("name", POINTS)
def test_one_thing_amiss_is_not_ok(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def spoil(scene: Scene) -> tuple[str, str]:
        setattr(scene.outcome, name, False)
        return "", ""

    outcome, *_ = play(monkeypatch, Step("first", all_well), Step("last", spoil))

    assert not outcome.ok


def test_a_step_that_fails_takes_the_lab_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(scene: Scene) -> tuple[str, str]:
        scene.laptop.popen(["sleep", "600"])
        raise PulseError("nothing works")

    with pytest.raises(PulseError, match="nothing works"):
        play(monkeypatch, Step("first", fail), Step("last", all_well))


def test_a_kept_demo_stays_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _, lines, (lab,) = play(monkeypatch, Step("first", all_well), Step("last", all_well), keep=True)

    assert not any("last" in line for line in lines)
    assert lab["relay"].run(["hostname"]).stdout == "relay\n"
    from pulse.lab.lab import clean

    assert clean(lab.name) == [lab.name]


def test_the_acts_follow_one_another() -> None:
    assert (*pair.STEPS, *relay.STEPS) == story.STEPS
    assert set(story.PLAN.hosts) == {"relay", "laptop", "server", "stranger"}
