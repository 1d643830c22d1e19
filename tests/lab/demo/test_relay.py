"""The second act: nothing in clear counts only if somebody looked, with eyes that see."""

import pytest

from pulse.errors import PulseError
from pulse.lab.capture import Search
from pulse.lab.demo import relay
from pulse.lab.demo.stage import Scene
from pulse.lab.lab import Lab
from pulse.lab.memory import Searched

PASSED = Search(packets=5000)
ARRIVED = Search(packets=5000, found=4000)
HELD = Searched(size=60_000_000, found=0)
RECEIVED = Searched(size=9_000_000, found=12)


def test_a_text_seen_by_the_receiver_alone_is_as_it_should_be() -> None:
    relay.judge_canary(PASSED, ARRIVED, HELD, RECEIVED)


@pytest.mark.parametrize(
    ("passing", "held"),
    [(Search(packets=5000, found=1), HELD), (PASSED, Searched(size=60_000_000, found=1))],
    ids=["on the wire", "in memory"],
)
def test_a_text_at_the_relay_is_an_error(passing: Search, held: Searched) -> None:
    with pytest.raises(PulseError, match="the relay saw the text"):
        relay.judge_canary(passing, ARRIVED, held, RECEIVED)


@pytest.mark.parametrize(
    ("passing", "arriving", "held", "received"),
    [
        (Search(packets=3), ARRIVED, HELD, RECEIVED),
        (PASSED, Search(packets=5000), HELD, RECEIVED),
        (PASSED, ARRIVED, Searched(0, 0), RECEIVED),
        (PASSED, ARRIVED, HELD, Searched(9_000_000, 0)),
    ],
    ids=["no packets", "blind capture", "no memory", "blind search"],
)
def test_nothing_found_by_who_sees_nothing_is_an_error(
    passing: Search, arriving: Search, held: Searched, received: Searched
) -> None:
    with pytest.raises(PulseError, match="nobody looked"):
        relay.judge_canary(passing, arriving, held, received)


def test_steps_that_need_a_transfer_under_way_say_so() -> None:
    with pytest.raises(PulseError, match="no transfer under way"):
        relay._kill_relay(Scene(Lab()))
