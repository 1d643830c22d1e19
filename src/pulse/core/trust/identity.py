"""Who a node is: its id from its key, its mesh addresses from its id, and the names it may bear.

Invariant: everything here follows from the key and the network alone, so any node can work it out again.
"""

import hashlib
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.utils import Buffer

from pulse.core.messages import shortened
from pulse.core.types import Network, NodeId, may_name_node
from pulse.errors import ProtocolError, Refused

KEY_BYTES: Final = 32

_SPKI_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 key bytes in an Ed25519 SubjectPublicKeyInfo (RFC 8410)."""

NAME_RULE: Final = (
    "a name has lower case letters, digits and inner -, 63 at most, reads as no node id, and is not localhost"
)
TAG_RULE: Final = "a tag has lower case letters, digits and inner _ . -, 63 at most"

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_TAG = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?")


class Signer(Protocol):
    """An Ed25519 key that can sign; cryptography's private key is one, a token or agent can be."""

    def public_key(self) -> Ed25519PublicKey:
        """The key others check its signatures with."""
        ...

    def sign(self, data: bytes, /) -> bytes:
        """64 bytes of signature over `data`."""
        ...


class _Borrowed(Ed25519PrivateKey):
    """A signer in the clothes the X.509 builders ask for; the key itself cannot be had from it."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def public_key(self) -> Ed25519PublicKey:
        return self._signer.public_key()

    def sign(self, data: Buffer) -> bytes:
        return self._signer.sign(bytes(data))

    def private_bytes(self, *_: object, **__: object) -> bytes:
        raise ValueError("this key signs; it cannot be read")

    def private_bytes_raw(self) -> bytes:
        raise ValueError("this key signs; it cannot be read")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


def x509_key(signer: Signer) -> Ed25519PrivateKey:
    """The signer as cryptography's builders take it."""
    return signer if isinstance(signer, Ed25519PrivateKey) else _Borrowed(signer)


def public_bytes(signer: Signer) -> bytes:
    """The 32 bytes of a signer's public key."""
    return signer.public_key().public_bytes_raw()


def key_hash(public_key: bytes) -> str:
    """64 hex digits: SHA-256 of the SubjectPublicKeyInfo of the 32 bytes `public_key`."""
    return hashlib.sha256(_SPKI_PREFIX + public_key).hexdigest()


def node_id(public_key: bytes) -> NodeId:
    """The id of the node that holds the key."""
    return NodeId(key_hash(public_key))


def signature_fits(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """True if `signature` over `data` was made with the key behind the 32 bytes `public_key`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def network_hash(network: Network) -> bytes:
    """32 bytes that stand for the network, name and first CA both, under each signature."""
    return hashlib.sha256(network.label.encode()).digest()


def mesh_prefix(network: Network) -> IPv6Network:
    """The network's ULA /48 (RFC 4193): fd and 40 bits of the network hash."""
    return IPv6Network((b"\xfd" + network_hash(network)[:5] + bytes(10), 48))


def mesh_v6(network: Network, node: NodeId) -> IPv6Address:
    """The node's IPv6 address: all 80 bits after the /48 are from its id, so none can be ground out by trial."""
    return mesh_prefix(network)[int(node[:20], 16)]


def v4_choices(node: NodeId, mesh_cidr: IPv4Network) -> Iterator[IPv4Address]:
    """IPv4 addresses for a node, best first: a place from its id's hash, then the next ones, round once.

    The network and broadcast address never appear; a range shorter than /30 has nothing to choose.
    """
    usable = mesh_cidr.num_addresses - 2
    first = int.from_bytes(hashlib.sha256(b"pulse address" + bytes.fromhex(node)).digest()[:8])
    for step in range(usable):
        yield mesh_cidr[1 + (first + step) % usable]


def is_tag(text: str) -> bool:
    """True if `text` can be a tag: lower case letters, digits, and inside it also `_`, `.`, `-`."""
    return _TAG.fullmatch(text) is not None


def check_tag(text: str) -> None:
    """Raise Refused, with the rule, for what cannot be a tag."""
    if not is_tag(text):
        raise Refused(f'"{shortened(text)}" cannot be a tag: {TAG_RULE}')


def check_name(text: str, what: str = "a node") -> None:
    """Raise Refused, with the rule, for what cannot be the name of a node or of `what`."""
    if not may_name_node(text):
        raise Refused(f'"{shortened(text)}" cannot name {what}: {NAME_RULE}')


def requested_name(host: str) -> str:
    """The name a machine called `host` asks for at join, or "" if nothing of it can be a name.

    Domain and odd characters go; a host name that reads as an id prefix (`cafe`) gets `-host`.
    """
    label = _NOT_IN_NAMES.sub("-", host.split(".", 1)[0].lower()).strip("-")[:58].rstrip("-")
    if not label or may_name_node(label):
        return label
    return f"{label}-host"


def node_bytes(node: NodeId) -> bytes:
    """The 32 bytes of an id, as objects carry it."""
    return bytes.fromhex(node)


def node_from_bytes(data: bytes) -> NodeId:
    """The id in 32 bytes of an object; raises ProtocolError for another length."""
    if len(data) != KEY_BYTES:
        raise ProtocolError(f"node id of {len(data)} bytes")
    return NodeId(data.hex())
