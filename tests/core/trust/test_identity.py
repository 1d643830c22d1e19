"""Ids, addresses and names follow from key and network alone."""

import hashlib
from ipaddress import IPv4Network
from itertools import islice

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.identity import (
    is_tag,
    mesh_prefix,
    mesh_v6,
    network_hash,
    node_bytes,
    node_from_bytes,
    node_id,
    public_bytes,
    requested_name,
    signature_fits,
    v4_choices,
    x509_key,
)
from pulse.core.types import Network, NodeId, may_name_node
from pulse.errors import ProtocolError
from tests.authority import MESH, key, node

NETWORK = Network("mynet", "ab" * 32)
ids = st.binary(min_size=32, max_size=32).map(lambda data: NodeId(data.hex()))


class Remote:
    """A signer that is not cryptography's own class."""

    def public_key(self) -> Ed25519PublicKey:
        return key("remote").public_key()

    def sign(self, data: bytes, /) -> bytes:
        return key("remote").sign(data)


def test_a_node_id_is_the_hash_of_the_subject_public_key_info() -> None:
    spki = key("a").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert node_id(public_bytes(key("a"))) == hashlib.sha256(spki).hexdigest()


def test_any_signer_can_be_used_for_certificates_but_not_read() -> None:
    borrowed = x509_key(Remote())
    assert signature_fits(public_bytes(Remote()), borrowed.sign(b"data"), b"data")
    assert x509_key(key("a")) is key("a") or x509_key(key("a")).sign(b"") == key("a").sign(b"")
    assert borrowed.public_key() == Remote().public_key()
    assert borrowed.__copy__() is borrowed.__deepcopy__({}) is borrowed
    with pytest.raises(ValueError, match="cannot be read"):
        borrowed.private_bytes_raw()
    with pytest.raises(ValueError, match="cannot be read"):
        borrowed.private_bytes(Encoding.DER, None, None)  # type: ignore[arg-type]


def test_a_signature_fits_only_its_key_and_data() -> None:
    signature = key("a").sign(b"data")
    assert signature_fits(public_bytes(key("a")), signature, b"data")
    assert not signature_fits(public_bytes(key("b")), signature, b"data")
    assert not signature_fits(public_bytes(key("a")), signature, b"other")
    assert not signature_fits(public_bytes(key("a")), signature[:-1], b"data")
    assert not signature_fits(b"short", signature, b"data")


def test_the_network_hash_stands_for_name_and_ca_both() -> None:
    others = [Network("other", NETWORK.ca_hash), Network(NETWORK.name, "cd" * 32)]
    assert all(network_hash(other) != network_hash(NETWORK) for other in others)


@given(ids)
def test_the_ipv6_address_lies_in_the_networks_prefix_and_shows_the_id(node: NodeId) -> None:
    address = mesh_v6(NETWORK, node)
    assert address in mesh_prefix(NETWORK)
    assert address.is_private
    assert address.packed[6:] == node_bytes(node)[:10]


@given(ids, st.integers(8, 30))
def test_first_choice_is_stable_and_no_network_or_broadcast_address(node: NodeId, length: int) -> None:
    cidr = IPv4Network(f"10.0.0.0/{length}")
    first = next(v4_choices(node, cidr))
    assert first == next(v4_choices(node, cidr))
    assert first in cidr
    assert first not in (cidr.network_address, cidr.broadcast_address)


@given(ids)
def test_choices_go_through_the_whole_range_once(node: NodeId) -> None:
    cidr = IPv4Network("10.9.8.0/28")
    assert sorted(v4_choices(node, cidr)) == list(cidr.hosts())


def test_two_nodes_seldom_have_one_first_choice() -> None:
    firsts = {next(islice(v4_choices(node(f"n{number}"), MESH), 1)) for number in range(100)}
    assert len(firsts) > 95


@pytest.mark.parametrize("tag", ["db", "a", "prod-1", "team_x", "v1.2"])
def test_tags_are_short_lower_case_words(tag: str) -> None:
    assert is_tag(tag)


@pytest.mark.parametrize("tag", ["", "DB", "-a", "a-", "a b", "a\x1b[2J", "é", "a" * 64])
def test_other_words_are_no_tags(tag: str) -> None:
    assert not is_tag(tag)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("db-server", "db-server"),
        ("DB.example.com", "db"),
        ("my_host!", "my-host"),
        ("cafe", "cafe-host"),
        ("---", ""),
        ("", ""),
        ("x" * 90, "x" * 58),
    ],
)
def test_a_machine_asks_for_a_name_made_of_its_host_name(host: str, name: str) -> None:
    assert requested_name(host) == name


@given(st.text(max_size=100))
def test_what_a_machine_asks_for_can_be_a_name(host: str) -> None:
    name = requested_name(host)
    assert not name or may_name_node(name)


def test_ids_travel_as_32_bytes() -> None:
    assert node_from_bytes(node_bytes(node("a"))) == node("a")
    with pytest.raises(ProtocolError, match="31 bytes"):
        node_from_bytes(bytes(31))
