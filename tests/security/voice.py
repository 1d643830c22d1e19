"""What a rogue says in gossip: node records of its own, true to the letter or false in any field.

Invariant: numbers only rise by themselves, so what a test says last counts unless the test chose its numbers.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from typing import Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from pulse.core.messages import NodeRecords, ObjectKind, Want, decode
from pulse.core.paths.noderecord import Adjacency, certificate_hash, sign_record
from pulse.core.trust.certificates import parse
from pulse.core.trust.signed import HEADER, seal
from tests.e2e.forgery import Wanted
from tests.security.link import Link
from tests.security.talk import certificate_of

FIELDS: Final = (
    "certificate",
    "boot",
    "seq",
    "candidates",
    "flags",
    "exits",
    "services",
    "neighbours",
    "version",
)
"""Of a record's payload, in their order."""

SETTLED: Final = 0.2
"""Seconds in which the last of a few records has come, too."""


class Voice:
    """The announcements of one rogue."""

    def __init__(self, shows: Wanted) -> None:
        self.certificate = parse(certificate_of(shows).public_bytes(Encoding.DER))
        self.key = shows.key
        self.boot, self.seq = 1, 0

    def record(
        self, *neighbours: str, boot: int | None = None, seq: int | None = None, flags: int = 0, rtt: float = 0.0
    ) -> bytes:
        """A true record, which says that these handles are its neighbours."""
        if seq is None:
            self.seq = seq = self.seq + 1
        made = sign_record(
            self.key,
            self.certificate,
            boot=self.boot if boot is None else boot,
            seq=seq,
            flags=flags,
            neighbours=[Adjacency(IPv4Address(each), rtt, 0.0) for each in neighbours],
        )
        return made.data

    def forged(self, **fields: object) -> bytes:
        """A record with these fields, in order or out of it, under its own good signature."""
        return self.signed(altered(self.record(), fields))

    def signed(self, payload: list[object]) -> bytes:
        """Whatever payload, signed as a record."""
        return seal(ObjectKind.RECORD, self.certificate.network, msgspec.msgpack.encode(payload), self.key)

    def says(self, link: Link, *neighbours: str, flags: int = 0, rtt: float = 0.0) -> None:
        """Announce these neighbours on a link, under new numbers."""
        link.says(NodeRecords([self.record(*neighbours, flags=flags, rtt=rtt)]))


def maker_of(record: bytes) -> bytes:
    """Hash of the certificate a record names."""
    return record[HEADER + 3 : HEADER + 35]


def altered(record: bytes, fields: Mapping[str, object]) -> list[object]:
    """The payload of a record with other values in it."""
    payload: list[object] = msgspec.msgpack.decode(record[HEADER:])
    for name, value in fields.items():
        payload[FIELDS.index(name)] = value
    return payload


def newest_of(handle: str) -> bytes:
    """The short name by which any record of that handle's owner may be asked for."""
    return IPv4Address(handle).packed + bytes(8)


def held_records(link: Link, *handles: str) -> list[bytes]:
    """The node records that the daemon holds of these, and its own."""
    link.messages.clear()
    asked = [*handles, link.there]
    link.says(Want(b"".join(map(newest_of, asked))))
    assert link.peer is not None
    own = certificate_hash(link.peer)
    link.waits(lambda: any(own in record for record in heard_records(link)), "the daemon sends its own record")
    link.pauses(SETTLED)
    return heard_records(link)


def is_heard_out(link: Link) -> bool:
    """Wait until all that was said on a link has been read; false if the daemon hung up over it."""
    assert link.peer is not None
    own = certificate_hash(link.peer)
    link.messages.clear()
    link.says(Want(newest_of(link.there)))
    link.waits(lambda: link.closed or any(own in record for record in heard_records(link)), "it was read")
    return link.closed is None


def heard_records(link: Link) -> list[bytes]:
    """The node records that came on a link, each once."""
    said = (message for message in map(decode, link.messages) if isinstance(message, NodeRecords))
    return list(dict.fromkeys(record for message in said for record in message.records))


def flooded(records: Iterable[bytes], size: int) -> list[NodeRecords]:
    """Records in messages of so many."""
    rest = list(records)
    return [NodeRecords(rest[start : start + size]) for start in range(0, len(rest), size)]
