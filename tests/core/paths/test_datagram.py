"""The beacon's datagram: what goes in comes out, its network alone can read it, and nobody else can have written it."""

import hashlib
import hmac
import json
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import BEACON_LIMIT, LATEST, Beacon, ObjectKind, pack
from pulse.core.paths.datagram import Foreign, read_beacon, write_beacon
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.signed import Forged, seal
from pulse.errors import ProtocolError, PulseError, Refused
from tests.authority import NOW, Ca, key, node
from tests.core.paths.calls import CA, NONCE, beacon, datagram

VECTOR: dict[str, str] = json.loads((Path(__file__).parents[2] / "vectors" / "beacon.json").read_text())

OTHER = Ca("other ca")
NAMESAKE = Ca("other ca", CA.network_name)

u32 = st.integers(0, 2**32 - 1)
nonces = st.binary(min_size=12, max_size=12)


def covered(payload: bytes) -> bytes:
    """A payload under this network's seal, signed or not."""
    secret = hmac.digest(hashlib.sha256(CA.network.label.encode()).digest(), b"pulse beacon v1", "sha256")
    return b"\x01" + NONCE + ChaCha20Poly1305(secret).encrypt(NONCE, payload, b"\x01")


def signed(fields: list[object], machine: str = "alice") -> bytes:
    """A datagram with fields no honest node writes, signed and sealed all the same."""
    return covered(seal(ObjectKind.BEACON, CA.network, msgspec.msgpack.encode(fields), key(machine)))


@given(
    boot=u32, seq=u32, clock=st.floats(0, LATEST), port=st.integers(1, 65535), nonce=st.binary(min_size=12, max_size=12)
)
def test_what_a_node_says_is_what_its_network_hears(boot: int, seq: int, clock: float, port: int, nonce: bytes) -> None:
    said = beacon("alice", seq, boot, clock=clock, port=port)

    claim = read_beacon(write_beacon(CA.network, said, key("alice"), nonce), CA.network)

    claim.vouched(CA.network)
    assert (claim.beacon, claim.node) == (said, node("alice"))


def test_it_is_these_bytes() -> None:
    said = Beacon(public_bytes(key("alice")), 3, 0x01020304, NOW + 0.25, 41641)

    assert pack(said).hex() == VECTOR["payload"]
    assert write_beacon(CA.network, said, key("alice"), NONCE).hex() == VECTOR["datagram"]


def test_the_bytes_are_made_as_it_is_written_down() -> None:
    whole = bytes.fromhex(VECTOR["datagram"])
    network = hashlib.sha256(VECTOR["network"].encode()).digest()
    secret = hmac.digest(network, b"pulse beacon v1", "sha256")

    envelope = ChaCha20Poly1305(secret).decrypt(whole[1:13], whole[13:], whole[:1])

    kind, signature, payload = envelope[:2], envelope[2:66], envelope[66:]
    assert payload.hex() == VECTOR["payload"]
    public_key = msgspec.msgpack.decode(payload)[0]
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, b"pulse" + kind + network + payload)
    assert kind == bytes((8, 1))


def test_it_fits_every_lan_with_room_to_spare() -> None:
    assert len(write_beacon(CA.network, beacon("alice", 2**32 - 1, 2**32 - 1), key("alice"), NONCE)) < 200


def test_nothing_of_it_can_be_read_by_a_passer_by() -> None:
    data = datagram("alice")

    for told in (public_bytes(key("alice")), bytes.fromhex(node("alice")), CA.network.label.encode()):
        assert told[:4] not in data


@pytest.mark.parametrize("other", [OTHER, NAMESAKE], ids=["another name", "the same name"])
def test_another_networks_is_foreign(other: Ca) -> None:
    with pytest.raises(Foreign):
        read_beacon(datagram("alice", network=other.network), CA.network)


def test_one_that_another_key_signed_is_forged() -> None:
    claim = read_beacon(datagram("alice", signer="mallory"), CA.network)

    with pytest.raises(Forged):
        claim.vouched(CA.network)


def test_another_signed_object_is_no_beacon() -> None:
    """What a node signs for gossip cannot be turned into a beacon, nor the other way round."""
    record = seal(ObjectKind.RECORD, CA.network, pack(beacon("alice")), key("alice"))

    with pytest.raises(ProtocolError):
        read_beacon(covered(record), CA.network).vouched(CA.network)


def test_one_that_was_signed_for_another_network_does_not_count_under_our_seal() -> None:
    theirs = seal(ObjectKind.BEACON, OTHER.network, pack(beacon("alice")), key("alice"))

    with pytest.raises(Forged):
        read_beacon(covered(theirs), CA.network).vouched(CA.network)


@given(at=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_changed_bit_makes_it_foreign(at: int, flip: int) -> None:
    data = bytearray(datagram("alice"))
    data[at % len(data)] ^= flip

    with pytest.raises(Foreign):
        read_beacon(bytes(data), CA.network)


@given(st.binary(max_size=300))
def test_noise_is_foreign(data: bytes) -> None:
    with pytest.raises(Foreign):
        read_beacon(data, CA.network)


@given(st.binary(max_size=300))
def test_noise_under_the_networks_seal_is_refused_and_nothing_worse(data: bytes) -> None:
    with suppress(ProtocolError, Refused):
        read_beacon(covered(data), CA.network).vouched(CA.network)
        pytest.fail("it was believed")


@pytest.mark.parametrize("size", [0, 12, BEACON_LIMIT + 1])
def test_a_datagram_of_no_beacons_size_is_not_looked_at(size: int) -> None:
    with pytest.raises(Foreign, match=f"{size} bytes"):
        read_beacon(bytes(size), CA.network)


def test_one_of_a_later_release_is_no_fault() -> None:
    secret = hmac.digest(hashlib.sha256(CA.network.label.encode()).digest(), b"pulse beacon v1", "sha256")
    later = b"\x02" + NONCE + ChaCha20Poly1305(secret).encrypt(NONCE, b"whatever they say then", b"\x02")

    with pytest.raises(Foreign, match="version 2"):
        read_beacon(later, CA.network)


def test_what_a_later_release_adds_is_ignored() -> None:
    more = signed([public_bytes(key("alice")), 1, 1, NOW, 443, "later", 7])

    claim = read_beacon(more, CA.network)

    claim.vouched(CA.network)
    assert claim.beacon.port == 443


@pytest.mark.parametrize(
    "fields",
    [
        [bytes(31), 1, 1, NOW, 443],
        [public_bytes(key("alice")), -1, 1, NOW, 443],
        [public_bytes(key("alice")), 1, 2**32, NOW, 443],
        [public_bytes(key("alice")), 1, 1, float("nan"), 443],
        [public_bytes(key("alice")), 1, 1, -1.0, 443],
        [public_bytes(key("alice")), 1, 1, NOW, 0],
        [public_bytes(key("alice")), 1, 1, NOW, 65536],
        [public_bytes(key("alice")), 1, 1, NOW],
    ],
)
def test_a_value_out_of_bounds_is_refused(fields: list[object]) -> None:
    with pytest.raises(PulseError):
        read_beacon(signed(fields), CA.network)
