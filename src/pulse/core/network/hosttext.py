"""Hosts as programs write them to a proxy: an IP address or a name, in one form or not at all.

Invariant: what is taken means one thing to everybody who reads it later. What some resolvers take for an address and
others for a name (`127.1`, `0x7f000001`, `2130706433`), and what is loopback under another name, is refused.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from pulse.core.messages import shortened
from pulse.core.network.destinations import METADATA, IPAddress
from pulse.errors import ProtocolError, Refused

Host = IPAddress | str
"""An address, or a name in lower case without a dot at its end."""

NAME_LIMIT: Final = 253
"""Characters of a name (RFC 1035, 2.3.4), without the dot at its end."""

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_BARE_ID = re.compile(r"[0-9a-f]{12,64}")


def read_host(text: str) -> Host:
    """The host in `text`, IPv6 without brackets.

    Raises ProtocolError for what is no host, Refused for one that nobody is connected to.
    """
    if ":" in text:
        return check_address(_v6(text))
    name = text.lower().removesuffix(".")
    if not name or len(name) > NAME_LIMIT or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ProtocolError(f'"{shortened(text)}" is no host. Write a name in ASCII, or an IP address')
    last = name.rpartition(".")[2]
    if _NUMBER.fullmatch(last) and not is_bare_id(name):
        return check_address(_v4(text))
    if last == "localhost":
        raise Refused(f"{shortened(name)} is the machine that asks. Connect there without the proxy")
    return name


def is_bare_id(name: str) -> bool:
    """True if that reads as a node's id, as much of it as people are shown or more, with nothing after it."""
    return _BARE_ID.fullmatch(name) is not None


def check_address(address: IPAddress) -> IPAddress:
    """The same; raises Refused for one that no machine is reached at by a proxy."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address.scope_id is not None):
        raise Refused(f"{shortened(str(address))} means something on one machine alone. Write the IPv4 address itself")
    if address.is_loopback:
        raise Refused(f"{address} is the machine that asks. Connect there without the proxy")
    if address.is_unspecified or address.is_multicast or address.is_link_local or address in METADATA:
        raise Refused(f"{address} is never reached through the mesh")
    if isinstance(address, IPv4Address) and (address.packed[0] == 0 or address.is_reserved):
        raise Refused(f"{address} is the address of no machine")
    return address


def _v4(text: str) -> IPv4Address:
    """Four numbers in decimal; a dot at the end would make it a name to some."""
    try:
        return IPv4Address(text)
    except ValueError as error:
        raise Refused(
            f'"{shortened(text)}" is an address to some and a name to others. Write it like 10.1.2.3'
        ) from error


def _v6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError as error:
        raise ProtocolError(f'"{shortened(text)}" is no IPv6 address') from error
