"""Invites: one line to paste that holds all a machine needs to join.

    pls_ base64url( version 1 | length 2 | msgpack body | first 4 bytes of SHA-256 of all before )

The length tells an invite cut short from a mistyped one. Invariant: an invite that decodes names its CA.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from pulse.core.addresses import split
from pulse.core.messages import Wire, pack, unpack
from pulse.core.trust.tokens import MOST_CHARACTERS, Token, base64url, check_strength
from pulse.core.types import INVITE_PREFIX, Digest, Network, Text, is_network_name
from pulse.errors import ProtocolError, Refused

ADDRESSES_LIMIT: Final = 8

_INVITE_VERSION: Final = 1
_INVITE_LIMIT: Final = 8192
_HEADER: Final = 3
_CHECKSUM: Final = 4
_TERMS: Final = re.compile(r"\s+good\s+(for|until)\s.*", re.DOTALL)
"""What is told beside an invite, and may be pasted with it."""
_LONE_DIGIT: Final = 1
"""Base64 digits left over when a text was cut inside a byte: they code nothing."""


@dataclass(frozen=True, slots=True)
class Invite:
    """All a machine needs to join: where, into what, and with which token."""

    addresses: tuple[str, ...]
    network: Network
    secret: str

    @property
    def token(self) -> Token:
        """The invite's token, pinned to the network's CA."""
        return Token(self.secret, self.network.ca_hash)


class _Invite(Wire, frozen=True):
    addresses: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=ADDRESSES_LIMIT)]
    network: Annotated[str, msgspec.Meta(max_length=63)]
    ca_hash: Digest
    secret: Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS)]


_invites = msgspec.msgpack.Decoder(_Invite)


def encode_invite(invite: Invite) -> str:
    """`pls_` and base64url of: version 1 | length 2 | msgpack body | first 4 bytes of SHA-256 of all before."""
    wire = _Invite(
        list(invite.addresses[:ADDRESSES_LIMIT]),
        invite.network.name,
        bytes.fromhex(invite.network.ca_hash),
        invite.secret,
    )
    body = pack(wire)
    data = bytes((_INVITE_VERSION,)) + len(body).to_bytes(2) + body
    return INVITE_PREFIX + base64url(data + hashlib.sha256(data).digest()[:_CHECKSUM])


def decode_invite(text: str) -> Invite:
    """Read an invite as pasted, with line breaks a mail put in, or with what it is good for behind it.

    Raises Refused and says what is wrong with it.
    """
    data = _unwrap_invite("".join(_TERMS.sub("", text).split()))
    if data[0] != _INVITE_VERSION:
        raise Refused("this invite was made by a newer pulse.\nUpgrade pulse on this machine, then join.")
    if len(data) < _HEADER + int.from_bytes(data[1:_HEADER]) + _CHECKSUM:
        raise Refused("this invite is cut short.\nCopy it again, from pls_ to its last character.")
    content, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if not hmac.compare_digest(hashlib.sha256(content).digest()[:_CHECKSUM], checksum):
        raise Refused(
            "this invite is mistyped: its checksum does not fit.\nCopy it again, or make a new one: pulse invite"
        )
    try:
        wire = unpack(_invites, content[_HEADER:], "invite", _INVITE_LIMIT)
    except ProtocolError as error:
        raise Refused("this invite is damaged.\nMake a new one: pulse invite") from error
    if not is_network_name(wire.network):
        raise Refused("this invite names no valid network.\nMake a new one: pulse invite")
    for address in wire.addresses:
        _check_address(address)
    check_strength(wire.secret)
    return Invite(tuple(wire.addresses), Network(wire.network, wire.ca_hash.hex()), wire.secret)


def _check_address(address: str) -> None:
    try:
        host, _ = split(address)
    except ValueError as error:
        raise Refused(f"this invite is damaged: {error}.\nMake a new one: pulse invite") from error
    if not host:
        raise Refused(f'this invite is damaged: "{address}" names no host.\nMake a new one: pulse invite')


def _unwrap_invite(text: str) -> bytes:
    if not text.startswith(INVITE_PREFIX):
        raise Refused("this is no invite: it does not begin with pls_.\nMake one on the CA: pulse invite")
    if len(text) > _INVITE_LIMIT:
        raise Refused(f"this invite is too long ({len(text)} characters).\nMake a new one: pulse invite")
    coded = text.removeprefix(INVITE_PREFIX)
    if not re.fullmatch(r"[A-Za-z0-9_-]*", coded):
        raise Refused("this invite is mistyped: it has a character no invite has.\nCopy it again.")
    if len(coded) % 4 == _LONE_DIGIT:
        coded = coded[:-1]
    data = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
    if len(data) < _HEADER + _CHECKSUM:
        raise Refused("this invite is cut short.\nCopy it again, from pls_ to its last character.")
    return data
