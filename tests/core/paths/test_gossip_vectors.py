"""The bytes of gossip are pinned: a release that writes others would be refused by its neighbours."""

import json
from pathlib import Path

import pytest

from pulse.core.messages import Digest, Have, Message, NodeRecords, Prune, Want, decode, encode
from pulse.core.paths.digest import Summary
from pulse.core.paths.noderecord import (
    EXIT,
    REACHABLE,
    Service,
    certificate_hash,
    read_record,
    sign_record,
)
from tests.authority import key
from tests.core.paths.records import CA, adjacent, cert, machine

VECTORS: dict[str, str] = json.loads((Path(__file__).parents[2] / "vectors" / "gossip.json").read_text())

RECORD = sign_record(
    key(machine(1)),
    cert(1),
    boot=3,
    seq=0x01020304,
    candidates=["203.0.113.7:41641", "[2001:db8::1]:443"],
    flags=REACHABLE | EXIT,
    exits=["10.1.0.0/16", "::/0"],
    services=[Service("postgres", 5432, 10)],
    neighbours=[*adjacent(2, rtt=0.0123, loss=0.2), *adjacent(3, rtt=9.0)],
    version="0.3.0",
    chain=2,
)
MESSAGES: dict[str, Message] = {
    "node_records": NodeRecords([b"\x06\x01record"]),
    "have": Have(RECORD.id12, b"\x00\xff"),
    "prune": Prune(),
    "digest": Digest(bytes(range(256)) * 8),
    "want": Want(RECORD.id12, certificate_hash(cert(1))),
    "graft": Want(b""),
}


def test_a_record_is_these_bytes() -> None:
    assert RECORD.data.hex() == VECTORS["record"]
    assert read_record(bytes.fromhex(VECTORS["record"])).vouched(cert(1), CA.network) == RECORD


def test_its_id_and_its_place_in_the_digest_are_these() -> None:
    summary = Summary()
    summary.added(RECORD)
    assert RECORD.id12.hex() == VECTORS["id"]
    assert {"bucket": VECTORS["bucket"], "content": VECTORS["content"]} == filled(summary.packed())


def filled(buckets: bytes) -> dict[str, str]:
    """The one bucket that is not empty."""
    ((bucket, content),) = ((at // 8, buckets[at : at + 8]) for at in range(0, 2048, 8) if any(buckets[at : at + 8]))
    return {"bucket": f"{bucket:02x}", "content": content.hex()}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_these_bytes(name: str) -> None:
    assert encode(MESSAGES[name]).hex() == VECTORS[name]
    assert decode(bytes.fromhex(VECTORS[name])) == MESSAGES[name]
