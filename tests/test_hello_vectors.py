"""Hellos that were spoiled in every way: Python and the data plane take the same ones and refuse the same ones.

`tests/vectors/spoiled_hellos.txt` has them in hexadecimal, with what Python made of each; the data plane holds to it.
After a wanted change run this once with `PULSE_WRITE_VECTORS=1`, and look at the difference.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pulse.core.messages import Hello, decode, pack
from pulse.errors import ProtocolError

FILE = Path(__file__).parent / "vectors" / "spoiled_hellos.txt"
TRUE = pack(Hello(1, bytes(range(16)), 0x01020304, 0, 1.5e9, bytes(range(32)), 3))
BY_CHANCE = 300
WRONG: tuple[object, ...] = (
    None,
    True,
    -1,
    2**8,
    2**16,
    2**32,
    2**63,
    2**64 - 1,
    1.5,
    "text",
    b"",
    bytes(15),
    bytes(33),
)
WRONG += ([], {}, [1])


def spoiled() -> Iterator[bytes]:
    """Each bit flipped, each cut, each field of another type or size, and several of these at once."""
    yield TRUE
    yield from (
        TRUE[:at] + bytes((TRUE[at] ^ 1 << bit,)) + TRUE[at + 1 :] for at in range(len(TRUE)) for bit in range(8)
    )
    yield from (TRUE[:size] for size in range(len(TRUE)))
    fields = msgspec.msgpack.decode(TRUE)
    for place in range(len(fields)):
        yield from (encoded([*fields[:place], wrong, *fields[place + 1 :]]) for wrong in WRONG)
        yield encoded(fields[:place])
    yield from (encoded([*fields, more]) for more in WRONG)
    chance = random.Random("hello")
    for _ in range(BY_CHANCE):
        changed = bytearray(TRUE)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield bytes(changed)


def encoded(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


def is_taken(data: bytes) -> bool:
    """True if Python reads a hello in it."""
    try:
        return isinstance(decode(data), Hello)
    except ProtocolError:
        return False


def test_both_languages_take_and_refuse_the_same_hellos() -> None:
    text = "".join(
        f"{data.hex() or '-'} {'taken' if is_taken(data) else 'refused'}\n" for data in dict.fromkeys(spoiled())
    )
    if "PULSE_WRITE_VECTORS" in os.environ:
        FILE.write_text(text, encoding="utf-8")

    assert FILE.read_text(encoding="utf-8") == text
    assert text.count("taken") > 100
    assert text.count("refused") > 300
