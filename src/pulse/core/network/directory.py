"""What each name under `.pulse` says, and each mesh address, as one node is to be told.

It is worked out once for many questions. Invariant: nothing in it leads to a node that was not put in: who is hidden
from this node is as if it were not there, whatever zone records say.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple

from pulse.core.network.zones import ALIKE_LIMIT, DOMAIN, Kind, Labels, Records, ZoneRecord, usable
from pulse.core.types import LEAST_PREFIX, SHORT_ID, NodeId

PTR: Final = "PTR"
"""A type of record that only nodes have."""

_TCP: Final = "_tcp"
_V4_SUFFIX: Final = ("in-addr", "arpa")
_V6_SUFFIX: Final = ("ip6", "arpa")
_ADDRESSES: Final = frozenset({str(Kind.A), str(Kind.AAAA)})


class Offer(NamedTuple):
    """A service that a node announces: it listens at a TCP port."""

    name: str
    port: int
    priority: int


@dataclass(frozen=True, slots=True)
class Host:
    """One node as names lead to it."""

    node: NodeId
    names: tuple[str, ...]
    """The one it is shown by first; others may have them too, and then they lead to nobody."""
    v4: IPv4Address
    v6: IPv6Address
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True, slots=True)
class Directory:
    """All names, for one node at one time."""

    shown: str
    """What this node is called: who answers for the zone."""
    serial: int
    hosts: Mapping[str, Host]
    """Nodes by names that one of them alone has."""
    v4: IPv4Network | None
    v6: IPv6Network
    _labels: Mapping[NodeId, str]
    _ids: Sequence[NodeId]
    _by_id: Mapping[NodeId, Host]
    _places: Mapping[int, Sequence[tuple[int, NodeId]]]
    """Who has which address, as numbers in their order, by version of IP."""
    _zone: Mapping[str, Records]
    """Zone records and services of the whole mesh, by name."""
    _inner: frozenset[str]
    """Names that have nothing themselves, and others below them."""

    # Zones

    def apex(self, name: Labels) -> Labels | None:
        """Of the zone of ours that the name is in; None if it is in none."""
        if name[-1:] == (DOMAIN,):
            return (DOMAIN,)
        for network, suffix, bits in ((self.v4, _V4_SUFFIX, 8), (self.v6, _V6_SUFFIX, 4)):
            if network is not None and name[-2:] == suffix:
                # A range such as /20 is of several zones: no digit of a reverse name says half of it.
                length = 2 + (network.prefixlen + bits - 1) // bits
                span = _span(name[-length:]) if len(name) >= length else None
                return name[-length:] if span is not None and span.is_inside(network) else None
        return None

    def at(self, name: Labels) -> Records | None:
        """What a name in a zone of ours says, which may be nothing; None if there is no such name."""
        if name[-1] != DOMAIN:
            return self._at_address(name)
        if name == (DOMAIN,):
            return ()
        text = ".".join(name)
        said, own = self._zone.get(text, ()), self._of_host(name, text)
        if own is None:
            return said if said or text in self._inner else None
        return _merged(own, said)

    # Nodes

    def label(self, host: Host) -> str:
        """The name under `.pulse` by which it is shown."""
        return self._labels[host.node]

    def host(self, label: str) -> Host | None:
        """The node that a label names: by name, or by the first digits of its id."""
        if label in self.hosts:
            return self.hosts[label]
        if len(label) < LEAST_PREFIX:
            return None
        found = _starting(self._ids, label)
        return self._by_id[found[0]] if len(found) == 1 else None

    # Details

    def _of_host(self, name: Labels, text: str) -> Records | None:
        """What a node says of its own name and those below; None if no node does."""
        host = self.host(name[-2])
        if host is None:
            return None
        below = name[:-2]
        if not any(label.startswith("_") for label in below):
            return [ZoneRecord(text, Kind.A, str(host.v4)), ZoneRecord(text, Kind.AAAA, str(host.v6))]
        if below == (_TCP,) and host.offers:
            return []
        found = [each for each in host.offers if below == (f"_{each.name}", _TCP)]
        return [_service(text, each, self.label(host)) for each in found] or None

    def _at_address(self, name: Labels) -> Records | None:
        span = _span(name)
        if span is None:
            return None
        places = self._places[span.version]
        first = bisect_left(places, (span.low,))
        if first == len(places) or places[first][0] > span.high:
            return () if name == self.apex(name) else None
        if not span.is_whole:
            return ()
        return [ZoneRecord(".".join(name), PTR, f"{self._labels[places[first][1]]}.{DOMAIN}")]


def made(
    me: NodeId,
    hosts: Iterable[Host],
    hidden: Collection[Host],
    records: Iterable[ZoneRecord],
    v4: IPv4Network | None,
    v6: IPv6Network,
    serial: int = 0,
) -> Directory:
    """All that node `me` is to be told: of `hosts`, itself among them unless it is revoked.

    Nothing leads to the `hidden` ones.
    """
    everybody = sorted(hosts, key=lambda each: each.node)
    named = _unambiguous(everybody)
    labels = {each.node: _label(each, named) for each in everybody}
    zone: dict[str, list[ZoneRecord]] = {}
    for each in (*_visible(records, hidden, named), *_services(everybody, labels)):
        alike = zone.setdefault(each.name, [])
        if len(alike) < ALIKE_LIMIT:
            alike.append(each)
    places = {
        4: sorted((int(each.v4), each.node) for each in everybody),
        6: sorted((int(each.v6), each.node) for each in everybody),
    }
    return Directory(
        shown=labels.get(me, me[:SHORT_ID]),
        serial=serial,
        hosts=named,
        v4=v4,
        v6=v6,
        _labels=labels,
        _ids=[each.node for each in everybody],
        _by_id={each.node: each for each in everybody},
        _places=places,
        _zone=zone,
        _inner=frozenset(name for text in zone for name in _above(text)),
    )


def reverse_zones(network: IPv4Network | IPv6Network) -> tuple[str, ...]:
    """The zones of its addresses, as few as hold no others: `100.10.in-addr.arpa`, or 16 of them for a /20."""
    bits = 8 if network.version == 4 else 4
    whole = network.prefixlen + -network.prefixlen % bits
    # Of a reverse name the zone is what stands behind the digits that differ in it.
    differing = (network.max_prefixlen - whole) // bits
    return tuple(
        each.network_address.reverse_pointer.split(".", differing)[-1] for each in network.subnets(new_prefix=whole)
    )


def _unambiguous(hosts: Iterable[Host]) -> dict[str, Host]:
    found: dict[str, list[Host]] = {}
    for host in hosts:
        for name in dict.fromkeys(host.names):
            found.setdefault(name, []).append(host)
    return {name: bearers[0] for name, bearers in found.items() if len(bearers) == 1}


def _label(host: Host, named: Mapping[str, Host]) -> str:
    return next((name for name in host.names if named.get(name) is host), host.node[:SHORT_ID])


def _services(hosts: Iterable[Host], labels: Mapping[NodeId, str]) -> list[ZoneRecord]:
    """`_postgres._tcp.pulse`: every node that announces it, those to be tried first in front."""
    offers = [(each.priority, host.node, each) for host in hosts for each in host.offers]
    return [_service(f"_{each.name}.{_TCP}.{DOMAIN}", each, labels[node]) for _, node, each in sorted(offers)]


def _service(name: str, offer: Offer, label: str) -> ZoneRecord:
    return ZoneRecord(name, Kind.SRV, f"{offer.priority} 0 {offer.port} {label}.{DOMAIN}")


def _visible(
    records: Iterable[ZoneRecord], hidden: Collection[Host], named: Mapping[str, Host]
) -> Iterable[ZoneRecord]:
    """Those that lead to no hidden node."""
    addresses = {str(address) for each in hidden for address in (each.v4, each.v6)}
    names = {name for each in hidden for name in each.names} - named.keys()
    ids = sorted(each.node for each in hidden)

    def is_hidden(text: str) -> bool:
        """The name of a hidden node, or one below."""
        *_, label, domain = ("", *text.split("."))
        is_id = len(label) >= LEAST_PREFIX and label not in named and bool(_starting(ids, label))
        return domain == DOMAIN and (label in names or is_id)

    def leads(record: ZoneRecord) -> str:
        return record.value.rpartition(" ")[2] if record.kind in (Kind.CNAME, Kind.SRV) else record.name

    found = (each for each in usable(records) if each.kind not in _ADDRESSES or each.value not in addresses)
    return [each for each in found if not is_hidden(leads(each))]


def _starting(ids: Sequence[NodeId], prefix: str) -> list[NodeId]:
    """The first two of ordered ids that begin so: more nobody has to know."""
    first = bisect_left(ids, prefix)
    return [each for each in ids[first : first + 2] if each.startswith(prefix)]


def _merged(own: Records, said: Records) -> Records:
    """What zone records say of a node's name goes before what the node says."""
    kinds = {each.kind for each in said}
    if Kind.CNAME in kinds:
        return said
    kept = () if kinds & _ADDRESSES else own
    return [*kept, *said] if said else own


def _above(text: str) -> Iterable[str]:
    """The names that this one is below."""
    labels = text.split(".")
    return (".".join(labels[place:]) for place in range(1, len(labels)))


class _Span(NamedTuple):
    """The addresses below a reverse name."""

    version: int
    low: int
    high: int

    @property
    def is_whole(self) -> bool:
        """True if the name is of one address."""
        return self.low == self.high

    def is_inside(self, network: IPv4Network | IPv6Network) -> bool:
        """True if they are all of that network."""
        return int(network.network_address) <= self.low and self.high <= int(network.broadcast_address)


def _span(name: Labels) -> _Span | None:
    """Of a name in one of the two trees; None if an address has no such digits."""
    version, bits, most = (4, 8, 4) if name[-2:] == _V4_SUFFIX else (6, 4, 32)
    digits = name[-3::-1]
    known = _OCTETS if version == 4 else _NIBBLES
    if len(digits) > most or any(each not in known for each in digits):
        return None
    number = 0
    for each in digits:
        number = number << bits | known[each]
    rest = bits * (most - len(digits))
    return _Span(version, number << rest, (number + 1 << rest) - 1)


_OCTETS: Final = {str(number): number for number in range(256)}
_NIBBLES: Final = {f"{number:x}": number for number in range(16)}
