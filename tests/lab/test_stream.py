"""A stream to watch: every byte checked, its silences seen, its end told by us."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from pulse.errors import PulseError
from pulse.lab import stream
from pulse.lab.capture import searched
from pulse.lab.lab import Lab
from pulse.lab.stream import Told
from tests.namespace import require_root

SECRET = b"canary-5f1d9c"


@pytest.fixture
def lab() -> Iterator[Lab]:
    require_root()
    with Lab() as lab:
        yield lab


@pytest.mark.parametrize("version", ["v4", "v6"])
def test_it_goes_on_until_it_is_told_and_all_arrives(lab: Lab, version: str) -> None:
    under_way = stream.begin(lab["a"], lab["b"], str(getattr(lab["b"], version).ip), mbit=40, text=SECRET)
    under_way.wait_moving()
    under_way.wait_moving()
    seen = under_way.finish()

    assert seen.hash_equal
    assert seen.received.size > 2 << 18
    assert under_way.longest_gap(0.0) < 5


def test_its_text_is_there_for_whoever_looks(lab: Lab) -> None:
    with searched(lab["b"], SECRET, "eth0") as search:
        under_way = stream.begin(lab["a"], lab["b"], str(lab["b"].v4.ip), mbit=8, text=SECRET)
        under_way.wait_moving(100_000)
        under_way.finish()

    assert search.found > 10


def test_a_silence_is_seen_with_its_length_and_does_not_end_it(lab: Lab) -> None:
    under_way = stream.begin(lab["a"], lab["b"], str(lab["b"].v4.ip), mbit=8)
    under_way.wait_moving()
    before = time.monotonic()
    lab.cut("a", "b")
    time.sleep(0.7)
    lab.mend("a", "b")
    under_way.wait_moving()

    assert under_way.longest_gap(before) > 0.5
    assert under_way.longest_gap(time.monotonic() + 60) == 0.0
    assert under_way.finish().hash_equal


def test_a_stream_whose_sender_was_killed_is_told(lab: Lab) -> None:
    under_way = stream.begin(lab["a"], lab["b"], str(lab["b"].v4.ip), mbit=8)
    os.kill(under_way.sender.process.pid, signal.SIGKILL)

    with pytest.raises(PulseError, match="the stream ended"):
        under_way.wait_moving(1 << 40)
    with pytest.raises(PulseError, match="one end of the stream failed"):
        under_way.finish()


def test_what_the_receiver_says_is_read_also_while_it_says_it(lab: Lab) -> None:
    under_way = stream.begin(lab["a"], lab["b"], str(lab["b"].v4.ip), mbit=8)
    told = under_way.told()
    under_way.finish()

    assert told[0].size > 0
    assert under_way.told()[: len(told)] == told
    assert isinstance(told[0], Told)


def test_the_text_stands_in_any_128_bytes() -> None:
    made = bytes(stream.pattern(SECRET, 10_000))

    assert len(made) % 64 == 0
    assert all(SECRET in made[start : start + 128] for start in range(0, len(made) - 128, 7))
    assert len({hashlib.sha256(made[start : start + 64]).digest() for start in range(0, len(made), 64)}) > 100
    with pytest.raises(PulseError, match="64 fit"):
        stream.pattern(b"x" * 65, 1)
