"""What a rule of nf_tables says, in the expressions that the kernel runs one after the other.

Where one does not hold, those after it are not run. Layouts: linux/netfilter/nf_tables.h.
"""

import struct
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from pulse.net.nlattr import attribute, big_number, nested, text

Prefix = IPv4Network | IPv6Network
Expression = tuple[str, bytes]
"""Its name, and what it is told."""
Rule = Sequence[Expression]

_NAME_BYTES: Final = 16
_REGISTER, _SECOND = 1, 2
_EQUAL, _UNEQUAL = 0, 1
_IPV4, _IPV6 = 2, 10
_MARK, _IIFNAME, _OIFNAME, _NFPROTO = 3, 6, 7, 15
_NETMAP: Final = 0x40
_ESTABLISHED_OR_RELATED: Final = 2 | 4
_LOCAL: Final = 2


def comes_by(device: str, *, other: bool = False) -> list[Expression]:
    """The packet came by that device, or by any other."""
    return _named(_IIFNAME, device, other=other)


def leaves_by(device: str, *, other: bool = False) -> list[Expression]:
    """It leaves by that device, or by any other."""
    return _named(_OIFNAME, device, other=other)


def is_from(prefix: Prefix, *, other: bool = False) -> list[Expression]:
    """Its source is in the range, or in the same family outside."""
    return _inside(prefix, 12 if prefix.version == 4 else 8, other=other)


def is_for(prefix: Prefix, *, other: bool = False) -> list[Expression]:
    """Its destination is in the range, or in the same family outside."""
    return _inside(prefix, 16 if prefix.version == 4 else 24, other=other)


def is_for_this_host() -> list[Expression]:
    """Its destination is an address of this host (`fib daddr type local`)."""
    fib = big_number(1, _REGISTER) + big_number(2, 3) + big_number(3, 2)
    return [("fib", fib), _compare(struct.pack("=I", _LOCAL))]


def is_of(version: int) -> list[Expression]:
    """It is of that version of IP."""
    return [
        ("meta", big_number(2, _NFPROTO) + big_number(1, _REGISTER)),
        _compare(bytes([_IPV4 if version == 4 else _IPV6])),
    ]


def is_answer() -> list[Expression]:
    """It belongs to a connection that was let through (`ct state established,related`)."""
    mask = struct.pack("=I", _ESTABLISHED_OR_RELATED)
    return [("ct", big_number(1, _REGISTER) + big_number(2, 0)), _masked(mask), _compare(bytes(4), other=True)]


def marks(mark: int) -> list[Expression]:
    """It bears this mark from now on, by which the host's rules of routing tell it apart."""
    return [_load(_REGISTER, struct.pack("=I", mark)), ("meta", big_number(2, _MARK) + big_number(3, _REGISTER))]


def accepts() -> Expression:
    """It passes this chain."""
    return _verdict(1)


def drops() -> Expression:
    """It goes no further."""
    return _verdict(0)


def masquerade() -> Expression:
    """It leaves with the address of the device it leaves by."""
    return ("masq", b"")


def mapped_to(prefix: Prefix) -> list[Expression]:
    """It goes to the same place inside another range of that size, one to one."""
    low, high = prefix.network_address.packed, prefix.broadcast_address.packed
    family = _IPV4 if prefix.version == 4 else _IPV6
    nat = (
        big_number(1, 1)
        + big_number(2, family)
        + big_number(3, _REGISTER)
        + big_number(4, _SECOND)
        + big_number(7, _NETMAP)
    )
    return [_load(_REGISTER, low), _load(_SECOND, high), ("nat", nat)]


def element(expression: Expression) -> bytes:
    """One of a rule's, as a message about the rule lists them."""
    name, data = expression
    return nested(1, text(1, name) + nested(2, data))


# Details


def _named(key: int, device: str, *, other: bool) -> list[Expression]:
    name = device.encode().ljust(_NAME_BYTES, b"\0")
    return [("meta", big_number(2, key) + big_number(1, _REGISTER)), _compare(name, other=other)]


def _inside(prefix: Prefix, offset: int, *, other: bool) -> list[Expression]:
    found = is_of(prefix.version)
    if not prefix.prefixlen:
        return found
    address, mask = prefix.network_address.packed, prefix.netmask.packed
    load = big_number(1, _REGISTER) + big_number(2, 1) + big_number(3, offset) + big_number(4, len(address))
    return [*found, ("payload", load), _masked(mask), _compare(address, other=other)]


def _compare(value: bytes, *, other: bool = False) -> Expression:
    said = big_number(1, _REGISTER) + big_number(2, _UNEQUAL if other else _EQUAL) + nested(3, attribute(1, value))
    return ("cmp", said)


def _masked(mask: bytes) -> Expression:
    nothing = nested(5, attribute(1, bytes(len(mask))))
    return (
        "bitwise",
        big_number(1, 1) + big_number(2, 1) + big_number(3, len(mask)) + nested(4, attribute(1, mask)) + nothing,
    )


def _load(register: int, value: bytes) -> Expression:
    return ("immediate", big_number(1, register) + nested(2, attribute(1, value)))


def _verdict(code: int) -> Expression:
    return ("immediate", big_number(1, 0) + nested(2, nested(2, big_number(1, code))))
