"""NATs of a lab: which outer port a host inside gets (mapping) and who may send in there (filtering), by nftables.

Invariant: one mapping serves all destinations, from its first packet on, in every class but `symmetric`; for the outer
port follows from the inner one alone, and no two hosts inside get the same from the same. It never equals the inner
port, so who relies on that fails here. Classes are about UDP; TCP gets any port, and lets in answers only.
"""

from dataclasses import dataclass
from typing import Final

from pulse.lab import namespaces
from pulse.lab.plan import Nat, Plan, Port, behind, outer_port

MAPPING_LIFE: Final = 120
"""Seconds a mapping outlives its last packet out (RFC 4787, REQ-5)."""

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


def gateway(plan: Plan, host: str) -> Gateway | None:
    """Find what kind of NAT a host is, and who is behind it; None if it is none."""
    described = plan.hosts[host]
    if described.nat is None:
        return None
    return Gateway(described.nat, described.hairpin, outer_port(plan, host), tuple(behind(plan, host)))


def start(namespace: str, to: Gateway, turn: int = 0) -> None:
    """Make a namespace a NAT, or another one than before, that knows of no connection. Raises SystemRefused.

    Nothing passes meanwhile: a packet of an old mapping between the two steps would be taken down in the new tables.
    """
    namespaces.load_rules(namespace, _CLOSED)
    namespaces.forget_connections(namespace)
    namespaces.load_rules(namespace, rules(to, turn))


def rules(to: Gateway, turn: int = 0) -> str:
    """Word the ruleset of a NAT; with another `turn` each host inside gets other outer ports."""
    out, outer, may_enter = to.outer.interface, to.outer.v4.ip, _MAY_ENTER[to.nat]
    arriving = may_enter.format(address="ip saddr", port="udp sport", outer="udp dport")
    turning = may_enter.format(address="ip saddr", port="udp sport", outer="ct original proto-dst")
    return f"""\
table inet {_TABLE}
delete table inet {_TABLE}
table inet {_TABLE} {{
	map inner {{
		type inet_service : ipv4_addr . inet_service
		size 65536
		flags dynamic,timeout
		timeout {MAPPING_LIFE}s
	}}
	set asked {{
		type ipv4_addr . {"" if to.nat is Nat.ADDRESS_RESTRICTED else "inet_service . "}inet_service
		size 65536
		flags dynamic,timeout
		timeout {MAPPING_LIFE}s
	}}
	chain arrive {{
		type nat hook prerouting priority dstnat
		iifname "{out}" ip daddr {outer} meta l4proto udp {arriving} dnat ip to udp dport map @inner
		{f'iifname != "{out}" ip daddr {outer} meta l4proto udp dnat ip to udp dport map @inner' if to.hairpin else ""}
	}}
	chain leave {{
		type nat hook postrouting priority srcnat
		meta nfproto ipv6 accept
		ip saddr {outer} accept
		oifname "{out}" goto translate
		iifname != "{out}" ct status dnat goto translate
	}}
	chain translate {{
		{_mappings(to, turn)}
		meta l4proto {{ tcp, udp }} snat ip to {outer}:{_LOWEST}-65535 fully-random
		snat ip to {outer}
	}}
	chain note {{
		type filter hook postrouting priority srcnat + 10
		ct direction reply accept
		ip saddr != {outer} accept
		meta l4proto udp update @inner {{ udp sport : ct original ip saddr . ct original proto-src }}
		meta l4proto udp update @asked {{ {_asked(to.nat)} }}
		{f"ct status dnat meta l4proto udp {turning} accept" if turning else "accept"}
		ct status dnat drop
	}}
	chain pass {{
		type filter hook forward priority filter; policy drop
		meta nfproto ipv6 drop
		ct state established,related accept
		ct state invalid drop
		iifname != "{out}" accept
		ct status dnat accept
	}}
	chain own {{
		# An early probe that got in here would take the port from the one inside whom it is for.
		type filter hook input priority filter
		ip daddr {outer} meta l4proto {{ tcp, udp }} ct state new drop
	}}
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


def _asked(nat: Nat) -> str:
    """The destination a packet was sent to, as far as it matters, and the outer port it left by."""
    whom = "ct original ip daddr" if nat is Nat.ADDRESS_RESTRICTED else "ct original ip daddr . ct original proto-dst"
    return f"{whom} . udp sport"
