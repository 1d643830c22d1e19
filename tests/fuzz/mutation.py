"""Makes inputs out of good ones: damaged, cut, blown up, put together from halves.

Invariant: the same randomness makes the same inputs.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

MOST: Final = 64 * 1024
"""Bytes of an input: nobody may say more at once."""

ROUNDS: Final = (1, 1, 1, 2, 2, 3, 5, 9)
"""How often an input is changed."""

TELLING: Final = b'\x00\x01\x1f\x7f\x80\x90\x93\xa0\xc0\xc1\xc4\xc6\xca\xcf\xd9\xdb\xdc\xdd\xde\xdf\xff0"\\{[:,.-\n\x1b'
"""Bytes that mean much to one reader or another: lengths, ends, heads of msgpack, signs of JSON and of text."""

NUMBERS: Final = (0, 1, 2**7 - 1, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**53, 2**63 - 1, 2**64 - 1)
GROWN_ONE_IN: Final = 40


def mutated(random: Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, changed."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice(ROUNDS)):
        random.choice(_CHANGES)(random, data, seeds)
    if random.randrange(GROWN_ONE_IN) == 0:
        _grow(random, data)
    return bytes(data[:MOST])


def _flip(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice(TELLING)


def _number(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    size, at = random.choice((1, 2, 4, 8)), random.randrange(len(data) + 1)
    data[at : at + size] = (random.choice(NUMBERS) & (1 << 8 * size) - 1).to_bytes(size)


def _insert(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.randbytes(random.randint(1, 8))


def _cut(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[random.randrange(len(data) + 1) :]


def _take(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_piece(random, data)]


def _double(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = data[_piece(random, data)]


def _splice(random: Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    other = random.choice(seeds)
    data[random.randrange(len(data) + 1) :] = other[random.randrange(len(other) + 1) :]


def _grow(random: Random, data: bytearray) -> None:
    """A piece of it over and over: depth for those who nest, length for those who count."""
    at, piece = random.randrange(len(data) + 1), data[_piece(random, data)] or b"\x91"
    data[at:at] = piece * (random.choice((64, 1024, MOST)) // len(piece))


def _piece(random: Random, data: bytearray) -> slice:
    at = random.randrange(len(data) + 1)
    return slice(at, at + random.randint(1, 16))


_CHANGES: Final[tuple[Callable[[Random, bytearray, Sequence[bytes]], None], ...]] = (
    _flip, _flip, _set, _set, _number, _insert, _cut, _take, _double, _splice,
)  # fmt: skip
