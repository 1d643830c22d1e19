"""Which IPv4 range a mesh may have: private, and with room for a few nodes.

Invariant: no public address may vanish behind a mesh.
"""

from ipaddress import IPv4Network
from typing import Final

from pulse.errors import ConfigError

DEFAULT: Final = IPv4Network("10.100.0.0/16")

_PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
"""RFC 1918 and RFC 6598: ranges that hide nobody's real address."""

_LONGEST_PREFIX: Final = 29
"""The smallest mesh has six addresses."""


def mesh_range(text: str, called: str = "mesh range") -> IPv4Network:
    """The range in `text`; raises ConfigError, which begins with what people call the setting."""
    try:
        found = IPv4Network(text)
    except ValueError as error:
        raise ConfigError(f'{called}: "{text}" is no IPv4 range. Write it like {DEFAULT}') from error
    if not any(found.subnet_of(private) for private in _PRIVATE):
        allowed = ", ".join(map(str, _PRIVATE))
        raise ConfigError(f"{called}: {found} would hide addresses of the Internet. Take a range inside {allowed}")
    if found.prefixlen > _LONGEST_PREFIX:
        raise ConfigError(f"{called}: {found} is too small for a mesh. Take /{_LONGEST_PREFIX} or wider")
    return found
