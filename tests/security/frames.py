"""Frames as a rogue makes them: every field of the header, every flag and counter is its own choice.

    0x21 | flags 1 | rsv 2 | link index 4 | hop counter 8 | sealed( hop header 16 ) + tag 16 | body

Invariant: what is not chosen is what an honest node would write.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

FRAME: Final = 0x21
CLEAR: Final = 16
"""Bytes in clear, which the seal covers."""
OVERHEAD: Final = 48
TTL: Final = 16
UNSPECIFIED: Final = str(IPv4Address(0))


class Kind(IntEnum):
    """What the body is."""

    RECORD = 0
    SESSION = 1
    LINK_PROBE = 2
    PATH_PROBE = 3
    PARITY = 4


class Hop(IntFlag):
    """Flags in the hop header."""

    LAST = 1
    REPLY = 2
    FRAG = 4


class Clear(IntFlag):
    """Flags that anybody on the wire can read."""

    BODY_SEALED = 1
    FIRST_HALF = 2
    SECOND_HALF = 4


PROBES: Final = (Kind.LINK_PROBE, Kind.PATH_PROBE)


@dataclass(frozen=True, slots=True)
class Header:
    """What each hop may know of a frame."""

    src: str
    dst: str
    kind: int
    proto: int = 0
    sport: int = 0
    dport: int = 0
    ttl: int = TTL
    flags: int = 0

    def encode(self) -> bytes:
        """The 16 bytes under the seal."""
        ends = IPv4Address(self.src).packed + IPv4Address(self.dst).packed
        ports = self.sport.to_bytes(2) + self.dport.to_bytes(2)
        return ends + bytes((self.kind, self.proto)) + ports + bytes((self.ttl, self.flags))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The other way round."""
        src, dst = (str(IPv4Address(data[at : at + 4])) for at in (0, 4))
        sport, dport = (int.from_bytes(data[at : at + 2]) for at in (10, 12))
        return cls(src, dst, data[8], data[9], sport, dport, data[14], data[15])


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that opened."""

    header: Header
    body: bytes
    counter: int
    clear: int

    def saying(self, **fields: str | int) -> "Frame":
        """The same with other words in its header."""
        return replace(self, header=replace(self.header, **fields))  # type: ignore[arg-type]


class Key:
    """One direction's key, for frames and records alike; AES's is the first half of the secret."""

    def __init__(self, secret: bytes, *, aes: bool) -> None:
        self._cipher = AESGCM(secret[:16]) if aes else ChaCha20Poly1305(secret)

    def seal(self, counter: int, plain: bytes, aad: bytes) -> bytes:
        """The sealed bytes and their tag."""
        return self._cipher.encrypt(_nonce(counter), plain, aad)

    def open(self, counter: int, sealed: bytes, aad: bytes) -> bytes | None:
        """What was sealed, or None if a bit of it differs."""
        try:
            return self._cipher.decrypt(_nonce(counter), sealed, aad)
        except InvalidTag:
            return None


def sealed(key: Key, index: int, counter: int, hop: bytes, body: bytes, clear: int) -> bytes:
    """The bytes of a frame; `hop` is the header, of whatever length."""
    start = bytes((FRAME, clear, 0, 0)) + index.to_bytes(4) + counter.to_bytes(8)
    return start + key.seal(counter, hop, start + body if clear & Clear.BODY_SEALED else start) + body


def opened(key: Key, data: bytes) -> Frame | None:
    """The frame in `data`, if this key opens it."""
    start, hop, body = data[:CLEAR], data[CLEAR:OVERHEAD], data[OVERHEAD:]
    counter, clear = int.from_bytes(start[8:]), start[1]
    plain = key.open(counter, hop, start + body if clear & Clear.BODY_SEALED else start)
    return Frame(Header.decode(plain), body, counter, clear) if plain else None


def usual_flags(kind: int) -> int:
    """What an honest node writes in clear for that kind."""
    return Clear.BODY_SEALED if kind in PROBES else 0


def flips(data: bytes) -> Iterator[tuple[int, bytes]]:
    """`data` with one bit changed, for each of its bits; and the byte it is in."""
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit // 8, bytes(changed)


def _nonce(counter: int) -> bytes:
    return bytes(4) + counter.to_bytes(8)
