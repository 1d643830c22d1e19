"""How netlink messages are put together: a header, and attributes of kind, length and value (netlink(7)).

Invariant: what is made here is aligned to four bytes, and what is read ends where its length says.
"""

import struct
from collections.abc import Iterator
from typing import Final

HEADER: Final = struct.Struct("=IHHII")
"""Length, kind, flags, sequence, port."""

_NESTED: Final = 0x8000


def aligned(length: int) -> int:
    """The length with what fills it up to four bytes."""
    return (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, filled up."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def number(kind: int, value: int) -> bytes:
    """An attribute that is a 32-bit number in the order of this machine."""
    return attribute(kind, struct.pack("=I", value))


def big_number(kind: int, value: int) -> bytes:
    """The same with its most significant byte first."""
    return attribute(kind, struct.pack(">I", value))


def text(kind: int, value: str) -> bytes:
    """An attribute that is text, with the zero that ends it."""
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, value: bytes) -> bytes:
    """An attribute that holds others."""
    return attribute(kind | _NESTED, value)


def unpack(data: bytes, offset: int = 0) -> int:
    """Such a number."""
    (number,) = struct.unpack_from("=I", data, offset)
    return int(number)


def each_attribute(body: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes of a body in their order, from `offset` on."""
    while offset + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, offset)
        if length < 4:
            break
        yield kind & 0x3FFF, body[offset + 4 : offset + length]
        offset += aligned(length)


def attributes_in(body: bytes, offset: int) -> dict[int, bytes]:
    """The same by kind: of one kind the last."""
    return dict(each_attribute(body, offset))
