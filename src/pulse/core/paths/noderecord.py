"""The node record: what a node announces of itself, signed by its own key and spread by gossip.

    envelope of core/trust/signed.py, kind RECORD, around msgpack
    [certificate hash 32, boot, seq, [candidate], flags, [exit CIDR], [[service, port, priority]], neighbours,
     version, chain]
    neighbours: 7 bytes each = handle 4 | rtt u16 in 0.1 ms | loss u8 in 1/255

Newer = higher (boot, seq). Invariant: a `NodeRecord` that exists was signed by the key of the certificate it
names and holds nothing out of bounds, so whoever reads one checks nothing again.
"""

import hashlib
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Final, NamedTuple

import msgspec

from pulse.core.addresses import is_ip, join, split
from pulse.core.cidr import range_of
from pulse.core.messages import RECORD_LIMIT, U8, U16, U32, ObjectKind, Wire, pack, unpack
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import Signer, mesh_prefix
from pulse.core.trust.signed import HEADER, VERSION, seal, unseal
from pulse.core.types import MOST_SERVICES, SHORT_ID, Digest, Network, NodeId, ShortText, is_network_name
from pulse.errors import ProtocolError, Refused

MOST_CANDIDATES: Final = 6
MOST_EXITS: Final = 8
MOST_NEIGHBOURS: Final = 32

REACHABLE: Final = 1
"""It accepted an unpunched inbound link in the last 24 h."""
HUB: Final = 2
"""It has more neighbours than it lists: a link that only the other end announces counts."""
EXIT: Final = 4
"""It offers exits."""
OPEN: Final = 8
"""No NAT is in front of it: others see it at an address of its own."""

ID_BYTES: Final = 12
HANDLE_BYTES: Final = 4
NUMBER_LIMIT: Final = 2**32 - 1
"""What boot count and seq may be at most."""

UNMEASURED: Final = 6.5535
"""Seconds of round trip that stand for "this long or longer, or not measured yet"."""

_NEIGHBOUR: Final = struct.Struct(">4sHB")
_ID: Final = struct.Struct(">4sII")
_SOFTWARE = re.compile(r"[0-9A-Za-z.+_-]{0,64}")


class Adjacency(NamedTuple):
    """One neighbour as a record tells it."""

    handle: IPv4Address
    rtt: float
    """Seconds; `UNMEASURED` at most."""
    loss: float
    """From 0 to 1."""


class Service(NamedTuple):
    """Something that listens at the node, by name."""

    name: str
    port: int
    priority: int = 0
    """Clients try the lowest first."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One version of what a node says of itself; the neighbours stay packed, most records are only passed on."""

    data: bytes
    """The exact bytes that were signed."""
    node: NodeId
    handle: IPv4Address
    certificate: bytes
    """SHA-256 of the certificate in DER, 32 bytes."""
    boot: int
    seq: int
    candidates: tuple[str, ...]
    """Where it may be reached, `ip:port` each, best first."""
    flags: int
    """`REACHABLE`, `HUB`, `EXIT`, `OPEN` and bits of later releases."""
    exits: tuple[str, ...]
    """CIDRs it offers; nobody uses one before it is approved."""
    services: tuple[Service, ...]
    neighbours: bytes
    version: str
    chain: int
    """How many CA keys after the network's first it believes."""

    @property
    def numbers(self) -> tuple[int, int]:
        """What makes it newer than another."""
        return self.boot, self.seq

    @property
    def reachable(self) -> bool:
        """It accepted an unpunched inbound link lately."""
        return bool(self.flags & REACHABLE)

    @property
    def open(self) -> bool:
        """No NAT is in front of it, so who answers at its addresses is its own machine."""
        return bool(self.flags & OPEN)

    @property
    def hub(self) -> bool:
        """It has more neighbours than it lists."""
        return bool(self.flags & HUB)

    @property
    def id12(self) -> bytes:
        """Its short name on links: handle 4 | boot 4 | seq 4."""
        return _ID.pack(self.handle.packed, self.boot, self.seq)

    @property
    def hash(self) -> bytes:
        """SHA-256 of its bytes: of two under one number the lower is kept."""
        return hashlib.sha256(self.data).digest()

    def adjacencies(self) -> Iterator[Adjacency]:
        """Its neighbours, unpacked."""
        for handle, rtt, loss in _NEIGHBOUR.iter_unpack(self.neighbours):
            yield Adjacency(IPv4Address(handle), rtt / 10_000, loss / 255)


class _Service(Wire, frozen=True):
    name: ShortText
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    priority: U16 = 0


class _Record(Wire, frozen=True):
    certificate: Digest
    boot: U32
    seq: U32
    candidates: Annotated[list[ShortText], msgspec.Meta(max_length=MOST_CANDIDATES)]
    flags: U32
    exits: Annotated[list[ShortText], msgspec.Meta(max_length=MOST_EXITS)]
    services: Annotated[list[_Service], msgspec.Meta(max_length=MOST_SERVICES)]
    neighbours: Annotated[bytes, msgspec.Meta(max_length=MOST_NEIGHBOURS * _NEIGHBOUR.size)]
    version: ShortText
    chain: U8 = 0


_decoder = msgspec.msgpack.Decoder(_Record)


class Unfit(ProtocolError):
    """A record that its node signed, and nobody can use: whoever passes it on may read it otherwise."""


class TooLong(ProtocolError):
    """What is said is more than a record holds."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A record read but not believed: it may be compared with what is held before its signature is worth checking."""

    data: bytes
    _wire: _Record

    @property
    def certificate(self) -> bytes:
        """Hash of the certificate it names."""
        return self._wire.certificate

    @property
    def numbers(self) -> tuple[int, int]:
        """Its boot count and seq."""
        return self._wire.boot, self._wire.seq

    def vouched(self, certificate: Certificate, network: Network) -> NodeRecord:
        """The record, if the key of the certificate it names signed it; raises ProtocolError, Unfit or Refused."""
        unseal(self.data, ObjectKind.RECORD, network, (certificate.public_key,))
        wire = self._wire
        _check(wire, certificate)
        return NodeRecord(
            data=self.data,
            node=certificate.node_id,
            handle=certificate.addresses.v4,
            certificate=wire.certificate,
            boot=wire.boot,
            seq=wire.seq,
            candidates=tuple(wire.candidates),
            flags=wire.flags,
            exits=tuple(wire.exits),
            services=tuple(Service(each.name, each.port, each.priority) for each in wire.services),
            neighbours=wire.neighbours,
            version=wire.version,
            chain=wire.chain,
        )


def is_of_later_release(data: bytes) -> bool:
    """True for a record in an envelope we cannot read yet; nobody is to blame for it."""
    return data[:1] == bytes((ObjectKind.RECORD,)) and data[1:2] > bytes((VERSION,))


def read_record(data: bytes) -> Claim:
    """What `data` claims; raises ProtocolError for anything that is no record, TooLong among it."""
    if len(data) > RECORD_LIMIT:
        raise TooLong(f"node record of {len(data)} bytes; {RECORD_LIMIT} are allowed")
    return Claim(data, unpack(_decoder, data[HEADER:], "node record", RECORD_LIMIT))


def sign_record(
    signer: Signer,
    certificate: Certificate,
    *,
    boot: int,
    seq: int,
    candidates: Iterable[str] = (),
    flags: int = 0,
    exits: Iterable[str] = (),
    services: Iterable[Service] = (),
    neighbours: Iterable[Adjacency] = (),
    version: str = "",
    chain: int = 0,
) -> NodeRecord:
    """A new version of our own record; raises ProtocolError for what others would refuse, TooLong among it."""
    wire = _Record(
        certificate=certificate_hash(certificate),
        boot=boot,
        seq=seq,
        candidates=[*candidates],
        flags=flags,
        exits=[*exits],
        services=[_Service(*each) for each in services],
        neighbours=b"".join(map(_packed, neighbours)),
        version=version,
        chain=chain,
    )
    data = seal(ObjectKind.RECORD, certificate.network, pack(wire), signer)
    return read_record(data).vouched(certificate, certificate.network)


def certificate_hash(certificate: Certificate) -> bytes:
    """By which records name it: SHA-256 of the DER, 32 bytes."""
    return hashlib.sha256(certificate.der).digest()


def read_id(id12: bytes) -> tuple[bytes, tuple[int, int]]:
    """Handle (4 bytes) and (boot, seq) of a record's short name."""
    handle, boot, seq = _ID.unpack(id12)
    return handle, (boot, seq)


def split_ids(ids: bytes, size: int = ID_BYTES) -> list[bytes]:
    """The ids that stand one after the other; raises ProtocolError if the last one is not whole."""
    if len(ids) % size:
        raise ProtocolError(f"{len(ids)} bytes of ids; they are {size} each")
    return [ids[at : at + size] for at in range(0, len(ids), size)]


@lru_cache(4096)
def is_candidate(text: str, network: Network) -> bool:
    """True if a node may ask others to dial `text`: `ip:port` in its one spelling, at a place a stranger can have.

    Loopback, multicast, link-local and the like would turn every node into a probe of its own surroundings.
    """
    try:
        host, port = split(text)
    except ValueError:
        return False
    if not is_ip(host):
        return False
    address = ip_address(host)
    return join(str(address), port) == text and _is_place(address) and address not in mesh_prefix(network)


def as_measured(rtt: float | None) -> float:
    """A round trip as a record can tell it: whole tenths of a millisecond, `UNMEASURED` for None."""
    return UNMEASURED if rtt is None else min(round(rtt * 10_000), 65535) / 10_000


def _packed(neighbour: Adjacency) -> bytes:
    rtt, loss = round(as_measured(neighbour.rtt) * 10_000), round(min(max(neighbour.loss, 0.0), 1.0) * 255)
    return _NEIGHBOUR.pack(neighbour.handle.packed, rtt, loss)


def _is_place(address: IPv4Address | IPv6Address) -> bool:
    if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
        return False
    if isinstance(address, IPv4Address):
        return not address.is_reserved and address.packed[0] != 0
    return address.ipv4_mapped is None and address.scope_id is None


def _check(wire: _Record, certificate: Certificate) -> None:
    who = f"node record of {certificate.node_id[:SHORT_ID]}"
    if wire.certificate != certificate_hash(certificate):
        raise Refused(f"{who} names another certificate")
    if not all(is_candidate(each, certificate.network) for each in wire.candidates):
        raise Unfit(f"{who} has a candidate nobody may dial")
    if not all(map(_is_cidr, wire.exits)):
        raise Unfit(f"{who} offers what is no CIDR")
    if not all(is_network_name(each.name) for each in wire.services):
        raise Unfit(f"{who} has a malformed service name")
    if _SOFTWARE.fullmatch(wire.version) is None:
        raise Unfit(f"{who} has a malformed software version")
    if len(wire.neighbours) % _NEIGHBOUR.size:
        raise Unfit(f"{who} has half a neighbour")
    handles = [handle for handle, _, _ in _NEIGHBOUR.iter_unpack(wire.neighbours)]
    if len(set(handles)) != len(handles) or certificate.addresses.v4.packed in handles:
        raise Unfit(f"{who} has a neighbour twice or is its own")


def _is_cidr(text: str) -> bool:
    return str(range_of(text)) == text
