"""The checked transfer: all bytes, both ends, and a difference is seen."""

import hashlib
import itertools
from collections.abc import Iterator

import msgspec
import pytest

from pulse.errors import PulseError
from pulse.lab import transfer
from pulse.lab.lab import Lab
from pulse.lab.transfer import Half, Transfer, measure
from tests.namespace import require_root


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    require_root()
    with Lab() as lab:
        yield lab


@pytest.mark.parametrize("size", [1, 7, 100_000, (64 << 20) + 5, 130 << 20])
def test_all_bytes_arrive_and_are_hashed(lab: Lab, size: int) -> None:
    seen = measure(lab["a"], lab["b"], str(lab["b"].v4.ip), size)

    assert seen.hash_equal
    assert seen.received.size == size
    assert seen.gbit > 0


def test_it_goes_over_ipv6_and_the_other_way(lab: Lab) -> None:
    assert measure(lab["b"], lab["a"], str(lab["a"].v6.ip), 1 << 20).hash_equal


def test_no_two_blocks_are_alike() -> None:
    blocks = [bytes(piece) for piece in transfer._pieces(bytearray(64), 64 * 3 + 10)]

    assert sum(map(len, blocks)) == 64 * 3 + 10
    assert all(one != other for one, other in itertools.pairwise(blocks))


def test_one_other_byte_is_a_difference() -> None:
    half = Half(5, hashlib.sha256(b"right").hexdigest(), 1.0)
    wrong = msgspec.structs.replace(half, sha256=hashlib.sha256(b"wrong").hexdigest())

    assert Transfer(half, half).hash_equal
    assert not Transfer(half, wrong).hash_equal
    assert not Transfer(half, msgspec.structs.replace(half, size=4)).hash_equal


def test_a_receiver_that_cannot_listen_is_told(lab: Lab) -> None:
    with pytest.raises(PulseError, match=r"(?s)the receiver failed:.*Cannot assign requested address"):
        measure(lab["a"], lab["b"], "198.18.7.7", 1 << 20)
