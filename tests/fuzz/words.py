"""Good messages with one word in them exchanged for one that means something else to another reader.

Damage by chance makes no range with a zone, nor a name of 64 letters; people and other releases do.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

WORDS: Final = (
    *("", "*", "0", "-1", "nan", "::", "pulse", "localhost", "a" * 64, "\u0661", "\x1b[2J", "no-such", "tag:", "cidr:"),
    *("10.9.9.1", "10.9.9.1/24", "10.9.9.0/255.255.255.0", "10.9.9.0/024", "0.0.0.0/0", "::/0", "10.100.0.0/16"),
    *("2001:db8:20::1%x/128", "fe80::1%1/128", "::ffff:102:300/120", "2001:DB8:20::/64", "2001:db8:20:0::/64"),
    *("cidr:2001:db8:20::1%x/128", "cidr:::ffff:102:300/120", "cidr:10.9.9.1/24", "cidr:0.0.0.0/0", "cidr:::/0"),
    *("[192.0.2.1]:443", "[fe80::1%4294967296]:443", "[2001:db8::1%x]:443", "192.0.2.1:65536", "a..b:443"),
)
"""Texts that one module or another has a meaning for."""


def worded(data: bytes) -> list[bytes]:
    """The message in each of these ways: every text in it, keys too, as every word."""
    value = msgspec.msgpack.decode(data)
    return [msgspec.msgpack.encode(each) for word in WORDS for each in _exchanged(value, word)]


def _exchanged(value: Any, word: str) -> Iterator[Any]:
    match value:
        case str():
            yield word
        case list():
            for place, inner in enumerate(value):
                for each in _exchanged(inner, word):
                    yield [*value[:place], each, *value[place + 1 :]]
        case dict():
            for key, inner in value.items():
                others = {other: said for other, said in value.items() if other != key}
                yield from ({**others, each: inner} for each in _exchanged(key, word))
                yield from ({**others, key: each} for each in _exchanged(inner, word))
