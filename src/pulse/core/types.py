"""The words of the core: ids, addresses and bounds that every other module builds on."""

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, NewType

import msgspec

NodeId = NewType("NodeId", str)
"""64 hex digits: SHA-256 of a node's SubjectPublicKeyInfo."""

LinkId = NewType("LinkId", int)
"""Our name of a link: the index under which we receive its frames."""


class LinkType(StrEnum):
    """How a node is reached: of a path the type of its first link. Links themselves are QUIC or WebSockets."""

    NONE = "-"
    """There is no path."""
    QUIC = "quic"
    """Over UDP, with a node that can be dialled."""
    DIRECT_QUIC = "direct_quic"
    """Over UDP, through a hole that was punched."""
    WEBSOCKET = "websocket"
    """Over TCP, where UDP is blocked."""


NO_LINK = LinkId(0)
"""The number no link has."""

SHORT_ID = 12
"""Digits of a node id shown to people."""

LEAST_PREFIX = 4
"""Digits of a node id people must type at least."""

INVITE_PREFIX = "pls_"
"""What an invite begins with: so a word is known as one before it is read."""

Text = Annotated[str, msgspec.Meta(max_length=255)]
ShortText = Annotated[str, msgspec.Meta(max_length=64)]
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Nonce = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Der = Annotated[bytes, msgspec.Meta(min_length=1, max_length=8192)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]

MOST_SERVICES = 8
"""Services that one node announces."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ID_PREFIX = re.compile(r"[0-9a-f]{4,64}")

RESERVED: Final = frozenset({"localhost", "wpad", "isatap"})
"""Names that programs take for this machine, or ask for by themselves: whoever had one would be asked."""


def is_network_name(text: str) -> bool:
    """True if `text` can name a network: a DNS label in lower case."""
    return _LABEL.fullmatch(text) is not None


def is_domain(text: str) -> bool:
    """True if `text` is a domain name: DNS labels in lower case with dots between."""
    return len(text) <= 240 and all(_LABEL.fullmatch(label) for label in text.split("."))


def is_node_name(text: str) -> bool:
    """True if `text` can be a node's name: a DNS label in lower case that does not read as an id prefix."""
    return _LABEL.fullmatch(text) is not None and _ID_PREFIX.fullmatch(text) is None


def may_name_node(text: str) -> bool:
    """True if a node may get the name `text` now: one that got a reserved name before there were any keeps it."""
    return is_node_name(text) and text not in RESERVED


def is_service_name(text: str) -> bool:
    """True if `text` can name a service (RFC 6335, 5.1) in lower case."""
    inside = _LABEL.fullmatch(text) is not None and len(text) <= 15 and "--" not in text
    return inside and any(char.isalpha() for char in text)


def is_node_id(text: str) -> bool:
    """True if `text` is a whole node id."""
    return len(text) == 64 and _ID_PREFIX.fullmatch(text) is not None


def spaced(ca_hash: str) -> str:
    """The short form of a CA hash for people: `a91f 22c0 77e4`."""
    return f"{ca_hash[:4]} {ca_hash[4:8]} {ca_hash[8:12]}"


@dataclass(frozen=True, slots=True)
class Network:
    """A mesh: its name and the hash of its first CA key, neither of which ever changes."""

    name: str
    ca_hash: str
    """64 hex digits: SHA-256 of the first CA's SubjectPublicKeyInfo."""

    @property
    def label(self) -> str:
        """`<name>.<hash>`, as certificates and signed objects carry it."""
        return f"{self.name}.{self.ca_hash}"


@dataclass(frozen=True, slots=True)
class MeshAddresses:
    """The two addresses of a node inside the mesh; the IPv4 one is its handle on the wire."""

    v4: ipaddress.IPv4Address
    v6: ipaddress.IPv6Address
