"""IP packets that scapy makes, and what it reads off them: fragments, ICMP, IPv6 extension headers.

Invariant: nothing of pulse has a part in either, so what agrees with it was worked out twice.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    fragment6,
)
from scapy.layers.ipsec import AH
from scapy.layers.sctp import SCTP
from scapy.packet import Packet, Raw

Ends = Mapping[str, str]
V4: Final = {"src": "10.100.0.1", "dst": "10.100.0.2"}
V6: Final = {"src": "fd00::1", "dst": "fd00::2"}
TRANSPORTS: dict[str, Packet] = {
    "tcp": TCP(sport=40_000, dport=443) / Raw(bytes(44)),
    "udp": UDP(sport=40_000, dport=53) / Raw(bytes(56)),
    "sctp": SCTP(sport=40_000, dport=5060) / Raw(bytes(52)),
}
"""64 bytes each, as fragments have to be whole units of eight: else a kernel complains about them."""
NUMBERS = {TCP: 6, UDP: 17, SCTP: 132}
OTHERS: dict[str, tuple[int, bytes]] = {"gre": (47, bytes(8)), "esp": (50, bytes(16)), "ospf": (89, bytes(24))}
EXTENSIONS = (IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, IPv6ExtHdrFragment, AH, IPv6ExtHdrDestOpt)
"""What may stand between an IPv6 header and a transport (RFC 8200 §4)."""

HOP, DEST = IPv6ExtHdrHopByHop(options=PadN(optdata=bytes(4))), IPv6ExtHdrDestOpt(options=PadN(optdata=bytes(4)))
LONG = IPv6ExtHdrDestOpt(options=PadN(optdata=bytes(84)))
AUTH = AH(payloadlen=4, icv=bytes(12))
CHAINS: dict[str, tuple[Packet, ...]] = {
    "no extension": (),
    "hop by hop": (HOP,),
    "destination options": (DEST,),
    "routing": (IPv6ExtHdrRouting(addresses=["fd00::9"]),),
    "authentication": (AUTH,),
    "three of them": (HOP, IPv6ExtHdrRouting(addresses=[]), DEST),
    "all of its datagram": (IPv6ExtHdrFragment(id=7),),
    "a first fragment": (IPv6ExtHdrFragment(id=7, m=1),),
    "a later fragment": (IPv6ExtHdrFragment(id=7, offset=185, m=1),),
    "the last fragment behind options": (DEST, IPv6ExtHdrFragment(id=7, offset=185)),
    "a first fragment before options": (IPv6ExtHdrFragment(id=7, m=1), DEST),
    "long options": (LONG,),
    "eight": (DEST,) * 8,
    "nine": (DEST,) * 9,
}


def packets(v4: Ends = V4, v6: Ends = V6) -> Iterator[tuple[str, bytes]]:
    """Between these ends, each by a name of its own."""
    for name, transport in TRANSPORTS.items():
        yield f"ipv4 {name}", bytes(IP(**v4) / transport)
        yield f"ipv4 {name} behind options", bytes(IP(**v4, options=[IPOption_NOP()] * 12) / transport)
        whole = IP(**v4, id=9) / transport / Raw(bytes(200))
        parts = fragment(whole, fragsize=64)
        yield from ((f"ipv4 {name}, fragment {number}", bytes(part)) for number, part in enumerate(parts))
        for chain, headers in CHAINS.items():
            yield f"ipv6 {name}, {chain}", bytes(stacked(v6, *headers, transport))
    for name, (protocol, body) in OTHERS.items():
        yield f"ipv4 {name}", bytes(IP(**v4, proto=protocol) / Raw(body))
        yield f"ipv6 {name}", bytes(IPv6(**v6, nh=protocol) / Raw(body))
    about, about6 = IP(**v4) / TRANSPORTS["udp"], IPv6(**v6) / TRANSPORTS["tcp"]
    yield "ping", bytes(IP(**v4) / ICMP(type=8) / Raw(bytes(32)))
    yield "port unreachable", bytes(IP(**v4) / ICMP(type=3, code=3) / about)
    yield "too big", bytes(IP(**v4) / ICMP(type=3, code=4, nexthopmtu=1280) / about)
    yield "redirect", bytes(IP(**v4) / ICMP(type=5, code=1) / about)
    yield "ping over ipv6", bytes(IPv6(**v6) / ICMPv6EchoRequest(data=bytes(32)))
    yield "unreachable over ipv6", bytes(IPv6(**v6) / ICMPv6DestUnreach(code=4) / about6)
    yield "unreachable over ipv6 behind options", bytes(IPv6(**v6) / DEST / ICMPv6DestUnreach(code=1) / about6)
    long6 = IPv6(**v6) / IPv6ExtHdrFragment(id=11) / ICMPv6EchoRequest(data=bytes(3000))
    parts6 = fragment6(long6, 1280)
    yield from ((f"ping over ipv6, fragment {number}", bytes(part)) for number, part in enumerate(parts6))


def stacked(ends: Ends, *layers: Packet) -> Packet:
    """One behind the other in IPv6."""
    packet: Packet = IPv6(**ends)
    for layer in layers:
        packet = packet / layer.copy()
    if AH in packet:
        # scapy takes what stands behind it for bytes.
        packet[AH].nh = NUMBERS[type(layers[-1])]
    return packet


def read(data: bytes) -> dict[str, Any]:
    """What scapy says of a packet."""
    outer = IP(data) if data[0] >> 4 == 4 else IPv6(data)
    layer, extensions, proto = outer.payload, 0, outer.proto if isinstance(outer, IP) else outer.nh
    later = isinstance(outer, IP) and outer.frag > 0
    while not isinstance(outer, IP) and isinstance(layer, EXTENSIONS) and not later:
        extensions, proto = extensions + 1, layer.nh
        later = isinstance(layer, IPv6ExtHdrFragment) and layer.offset > 0
        layer = behind(layer)
    sport, dport = (0, 0) if later else ports(layer)
    before = len(data) - len(layer)
    return {"proto": proto, "sport": sport, "dport": dport, "hidden": later, "before": before, "extensions": extensions}


def behind(layer: Packet) -> Packet:
    """What stands behind an extension header."""
    if isinstance(layer, AH):
        return next(kind for kind, number in NUMBERS.items() if number == layer.nh)(bytes(layer.payload))
    return layer.payload


def ports(layer: Packet) -> tuple[int, int]:
    """Its ports; type and code of ICMP."""
    if isinstance(layer, TCP | UDP | SCTP):
        return layer.sport, layer.dport
    if isinstance(layer, ICMP) or type(layer).__name__.startswith("ICMPv6"):
        return layer.type, layer.code
    return 0, 0
