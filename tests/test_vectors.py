"""The bytes of frames, records, probes, reports and keys, worked out twice: the data plane pins the same files."""

import hmac
import json
from hashlib import sha256
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Vector = dict[str, Any]
HEADER = 16
HOP = 32
BODY_IS_SEALED_TOO = 1
HALVES = (2, 4)
PROBES = (2, 3)


def vectors(name: str) -> list[Vector]:
    path = Path(__file__).parent / "vectors" / f"{name}.json"
    found: list[Vector] = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    return found


def cipher(vector: Vector) -> AESGCM | ChaCha20Poly1305:
    secret = bytes.fromhex(vector["secret_hex"])
    return AESGCM(secret[:16]) if vector["cipher"] == "Aes128Gcm" else ChaCha20Poly1305(secret)


def clear(kind: int, flags: int, vector: Vector) -> bytes:
    return bytes((kind, flags, 0, 0)) + number(vector["index"], 4) + number(vector["counter"], 8)


def nonce(vector: Vector) -> bytes:
    return bytes(4) + number(vector["counter"], 8)


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size)


@pytest.mark.parametrize("vector", vectors("record"), ids=lambda vector: vector["name"])
def test_a_record_is_these_bytes(vector: Vector) -> None:
    header = clear(0x23, vector["checksum_partial"] | vector["over_two_ways"] << 1, vector)
    sealed = cipher(vector).encrypt(nonce(vector), bytes.fromhex(vector["packet_hex"]), header)
    assert (header + sealed).hex() == vector["bytes_hex"]


@pytest.mark.parametrize("vector", vectors("frame"), ids=lambda vector: vector["name"])
def test_a_frame_is_these_bytes(vector: Vector) -> None:
    is_probe = vector["kind"] in PROBES
    body = bytes.fromhex(vector["body_hex"])
    flags = vector["clear_flags"]
    assert flags == (BODY_IS_SEALED_TOO if is_probe else 0) or (flags in HALVES and not is_probe)
    header = clear(0x21, flags, vector)
    hop = (
        IPv4Address(vector["src"]).packed + IPv4Address(vector["dst"]).packed + bytes((vector["kind"], vector["proto"]))
    )
    hop += vector["sport"].to_bytes(2) + vector["dport"].to_bytes(2) + bytes((vector["ttl"], vector["flags"]))
    sealed = cipher(vector).encrypt(nonce(vector), hop, header + body if is_probe else header)
    assert (header + sealed + body).hex() == vector["bytes_hex"]


@pytest.mark.parametrize("vector", vectors("report"), ids=lambda vector: vector["name"])
def test_a_receiver_report_is_these_bytes(vector: Vector) -> None:
    head = bytes((1,)) + number(vector["index"], 4) + number(vector["highest"], 8) + number(vector["opened"], 8)
    runs = b"".join(number(opened, 4) + number(missing, 4) for opened, missing in vector["runs"])
    assert (head + number(vector["described"], 4) + bytes((len(vector["runs"]),)) + runs).hex() == vector["bytes_hex"]


@pytest.mark.parametrize("vector", vectors("path_probe"), ids=lambda vector: vector["name"])
def test_a_path_probe_is_these_bytes(vector: Vector) -> None:
    clear = bytes((vector["kind"],)) + number(vector["seq"], 4) + number(vector["stamp"], 8)
    ends = IPv4Address(vector["src"]).packed + IPv4Address(vector["dst"]).packed
    tag = hmac.digest(bytes.fromhex(vector["secret_hex"]), clear + ends, sha256)
    assert (clear + tag).hex() == vector["bytes_hex"]


@pytest.mark.parametrize("vector", vectors("punch"), ids=lambda vector: vector["name"])
def test_a_punch_probe_is_these_bytes(vector: Vector) -> None:
    clear = bytes((0x22, vector["kind"], 0, 0)) + number(vector["attempt"], 8) + number(vector["seq"], 4)
    tag = hmac.digest(bytes.fromhex(vector["secret_hex"]), clear, sha256)
    assert (clear + tag[:16] + bytes(16)).hex() == vector["bytes_hex"]


@pytest.mark.parametrize("vector", vectors("record_keys"))
def test_both_ends_work_out_these_record_keys(vector: Vector) -> None:
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(vector["lower_private"]))
    shared = private.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(vector["higher_public"])))
    assert shared.hex() == vector["shared_secret"]
    indexes = vector["lower_index"].to_bytes(4) + vector["higher_index"].to_bytes(4)
    for way, sender, receiver in (("lower_to_higher", "lower", "higher"), ("higher_to_lower", "higher", "lower")):
        info = b"pulse record v1" + bytes.fromhex(vector[f"{sender}_id"] + vector[f"{receiver}_id"]) + indexes
        derived = HKDF(SHA256(), 32, bytes.fromhex(vector["exporter"]), info).derive(shared)
        assert derived.hex() == vector[way]
