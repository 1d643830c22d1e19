"""Ranges of IP addresses as text: one reading for all that people, configs and records say.

Invariant: what is a range here is one for the data plane too, and spelled alike by every release of Python.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

Range = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses in IPv6 ones: no packet bears them, and Python 3.13 spells them otherwise than those before."""


def range_of(text: str) -> Range | None:
    """The range that the text is; None if it is none. A zone (`fe80::1%eth0`) means something on one machine alone."""
    try:
        found = ip_network(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Network) and ("%" in text or found.subnet_of(_MAPPED)):
        return None
    return found
