"""NATs of a lab: which outer port a host inside gets (mapping) and who may send in there (filtering), by nftables.

Invariant: one mapping serves all destinations, from its first packet on, in every class but `symmetric`; for the outer
port follows from the inner one alone, and no two hosts inside get the same from the same. It never equals the inner
port, so who relies on that fails here. Classes are about UDP; TCP gets any port, and lets in answers only.
"""

from dataclasses import dataclass
from typing import Final

from pulse.lab import namespaces
from pulse.lab.plan import OUTER_PORTS, Nat, Plan, Port, behind, outer_port

MAPPING_LIFE: Final = 120
"""Seconds a mapping outlives its last packet out (RFC 4787, REQ-5)."""

_MAPPINGS: Final = 65_536
"""As many are kept."""

_TABLE: Final = "pulse-nat"
_CLOSED: Final = f"""\
table inet {_TABLE}
delete table inet {_TABLE}
table inet {_TABLE} {{
	chain pass {{
		type filter hook forward priority filter; policy drop
	}}
}}
"""
_LOWEST: Final = 1024
"""No outer port is lower; XOR with less than this leaves a port on its side."""
_OF_PLACE, _OF_TURN = 617, 257
"""Steps between constants, prime to the 1,023 there are: all hosts have different ones, and a host changes its own."""

_MAY_ENTER: Final = {
    Nat.FULL_CONE: "",
    Nat.ADDRESS_RESTRICTED: "{address} . {outer} @asked",
    Nat.PORT_RESTRICTED: "{address} . {port} . {outer} @asked",
    Nat.SYMMETRIC: "{address} . {port} . {outer} @asked",
}
"""Which strangers a packet at an outer port may come from."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """All that the rules of one NAT follow from."""

    nat: Nat
    hairpin: bool
    outer: Port
    inside: tuple[Port, ...]
    ports: tuple[int, int] = OUTER_PORTS


def gateway(plan: Plan, host: str) -> Gateway | None:
    """Find what kind of NAT a host is, and who is behind it; None if it is none."""
    described = plan.hosts[host]
    if described.nat is None:
        return None
    outer, inside = outer_port(plan, host), tuple(behind(plan, host))
    return Gateway(described.nat, described.hairpin, outer, inside, described.ports)


def start(namespace: str, to: Gateway, turn: int = 0) -> None:
    """Make a namespace a NAT, or another one than before, that knows of no connection. Raises SystemRefused.

    Nothing passes meanwhile: a packet of an old mapping between the two steps would be taken down in the new tables.
    """
    namespaces.load_rules(namespace, _CLOSED)
    namespaces.forget_connections(namespace)
    namespaces.load_rules(namespace, rules(to, turn))


def rules(to: Gateway, turn: int = 0) -> str:
    """Word the ruleset of a NAT; with another `turn` each host inside gets other outer ports."""
    parts = (_tables(to), _arriving(to), _leaving(to, turn), _noting(to), _passing(to))
    return f"table inet {_TABLE}\ndelete table inet {_TABLE}\ntable inet {_TABLE} {{\n{''.join(parts)}}}\n"


def _tables(to: Gateway) -> str:
    """What is known: who inside has an outer port, and whom was sent to from it."""
    whom = "ipv4_addr" if to.nat is Nat.ADDRESS_RESTRICTED else "ipv4_addr . inet_service"
    kept = f"size {_MAPPINGS}\n\t\tflags dynamic,timeout\n\t\ttimeout {MAPPING_LIFE}s"
    return f"""\
	map inner {{
		type inet_service : ipv4_addr . inet_service
		{kept}
	}}
	set asked {{
		type {whom} . inet_service
		{kept}
	}}
"""


def _arriving(to: Gateway) -> str:
    """Strangers that may send in, and those inside that turn back, go to whom the outer port belongs."""
    out, to_outer = to.outer.interface, f"ip daddr {to.outer.v4.ip} meta l4proto udp"
    allowed = _MAY_ENTER[to.nat].format(address="ip saddr", port="udp sport", outer="udp dport")
    turning = f'iifname != "{out}" {to_outer} dnat ip to udp dport map @inner' if to.hairpin else ""
    return f"""\
	chain arrive {{
		type nat hook prerouting priority dstnat
		iifname "{out}" {to_outer} {allowed} dnat ip to udp dport map @inner
		{turning}
	}}
"""


def _leaving(to: Gateway, turn: int) -> str:
    """Packets from inside get the outer address, on their way out or back in."""
    out, outer = to.outer.interface, to.outer.v4.ip
    first, last = to.ports
    return f"""\
	chain translate {{
		{_mappings(to, turn)}
		meta l4proto {{ tcp, udp }} snat ip to {outer}:{first}-{last} fully-random
		snat ip to {outer}
	}}
	chain leave {{
		type nat hook postrouting priority srcnat
		meta nfproto ipv6 accept
		ip saddr {outer} accept
		oifname "{out}" goto translate
		iifname != "{out}" ct status dnat goto translate
	}}
"""


def _noting(to: Gateway) -> str:
    """What has its outer address by now is noted; what turns back inside has to be let in there like a stranger."""
    whom = "" if to.nat is Nat.ADDRESS_RESTRICTED else " . ct original proto-dst"
    allowed = _MAY_ENTER[to.nat].format(address="ip saddr", port="udp sport", outer="ct original proto-dst")
    return f"""\
	chain note {{
		type filter hook postrouting priority srcnat + 10
		ct direction reply accept
		ip saddr != {to.outer.v4.ip} accept
		meta l4proto udp update @inner {{ udp sport : ct original ip saddr . ct original proto-src }}
		meta l4proto udp update @asked {{ ct original ip daddr{whom} . udp sport }}
		ct status dnat meta l4proto udp {allowed} accept
		ct status dnat drop
	}}
"""


def _passing(to: Gateway) -> str:
    """From inside everything goes out; the NAT itself takes nothing new at its outer address.

    An early probe that it took would occupy the port of the one inside whom it is for.
    """
    return f"""\
	chain pass {{
		type filter hook forward priority filter; policy drop
		meta nfproto ipv6 drop
		ct state established,related accept
		ct state invalid drop
		iifname != "{to.outer.interface}" accept
		ct status dnat accept
	}}
	chain own {{
		type filter hook input priority filter
		ip daddr {to.outer.v4.ip} meta l4proto {{ tcp, udp }} ct state new drop
	}}
"""


def _mappings(to: Gateway, turn: int) -> str:
    """The rules for hosts inside, unless every destination is to see another port."""
    if to.nat is Nat.SYMMETRIC:
        return ""
    lines = []
    for place, port in enumerate(to.inside):
        low = constant(place, turn)
        for ports, mask in ((f">= {_LOWEST}", low), (f"< {_LOWEST}", 0x10000 - _LOWEST | low)):
            mapped = f"{to.outer.v4.ip} : udp sport ^ {mask:#x}"
            lines.append(f"ip saddr {port.v4.ip} udp sport {ports} snat ip to {mapped}")
    return "\n\t\t".join(lines)


def constant(place: int, turn: int) -> int:
    """What the ports of the host inside at that place are XORed with to give its outer ones: 1 to 1,023."""
    return 1 + (_OF_PLACE * place + _OF_TURN * (turn + 1)) % (_LOWEST - 1)
