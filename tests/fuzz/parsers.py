"""Everything that reads bytes which others wrote, with good examples of these bytes.

Invariant: whatever the bytes, each ends with a value or with one of its refusals.
"""

import base64
import hashlib
import importlib
import pkgutil
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

import msgspec

import pulse
from pulse.api.app import ENDPOINTS
from pulse.core import messages, strictjson
from pulse.core.effects import CloseLink, PolicyChanged, SendMessage, TablesChanged
from pulse.core.mesh import Mesh
from pulse.core.messages import RPC_LIMIT, Beacon, Item, ObjectKind, Objects, Wire, pack, unpack
from pulse.core.network.edits import Edits, edited, read_edits
from pulse.core.network.hours import Window
from pulse.core.network.naming import NodeNamed, NodeTagged
from pulse.core.network.netconfig import Config, Settings, open_config, sign_config
from pulse.core.network.routes import Route
from pulse.core.network.ruling import GroupSet, RuleAdded
from pulse.core.network.zones import ZoneRecord
from pulse.core.paths.datagram import read_beacon, write_beacon
from pulse.core.paths.noderecord import Service, read_record, sign_record
from pulse.core.paths.portmap import Gateway
from pulse.core.trust import join, renew
from pulse.core.trust.authorities import parse_authority, sign_succession
from pulse.core.trust.ca import make_authority
from pulse.core.trust.certificates import parse, verify
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.invites import Invite, decode_invite, encode_invite
from pulse.core.trust.revocation import open_revocation, sign_revocation
from pulse.core.trust.roles import Roles, open_roles, sign_roles
from pulse.core.trust.signed import HEADER, seal
from pulse.core.trust.tokens import base64url, parse_token, print_token
from pulse.core.types import INVITE_PREFIX
from pulse.errors import ProtocolError, PulseError, Refused
from pulse.net.dataplane import DataplaneLinks
from pulse.net.portmap import natpmp, pcp, soap, ssdp
from pulse.net.sockets import bind_udp
from pulse.store import segments
from pulse.store.journal import GENESIS, Entry, chained
from tests.api.test_keyed import body_of
from tests.authority import NOW, key, request, secret, token
from tests.core.meshing import ALICE, BOB, CA, FIRST, ME, ROLES, SCRIBE, SCRIBES_CONFIG, Node, revocation
from tests.core.network.drafts import draft
from tests.core.network.nodes import rule
from tests.fuzz.mutation import MOST
from tests.fuzz.samples import sample, wire_types
from tests.fuzz.words import worded
from tests.loopback import bare_plane, key_der
from tests.mint import Latest

JSON_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, PulseError)
"""What `pulse.api.app` answers with a 400."""

GATEWAY = Gateway(IPv4Address("192.168.1.1"), IPv4Address("192.168.1.7"), "eth0")


_SITE = bytes.fromhex(ALICE.node_id)

CONFIG = Config(
    *(1, 1, Settings("10.100.0.0/16"), {_SITE: "web"}, {_SITE: ["site"]}),
    acl=[
        rule("cidr:10.8.0.0/16", "tag:site", protocols=[6], ports=[(22, 22)], window=Window(3, 60, 120)),
        rule("group:eyes", "web", allow=False, expires=NOW + 60),
        rule("*", "cidr:2001:db8:20::/48", id="r2", redundant=True, note="n"),
    ],
    groups={"eyes": ["tag:site"]},
    zones=[
        *(ZoneRecord("db.pulse", "A", "10.8.0.1"), ZoneRecord("db6.pulse", "AAAA", "2001:db8:20::1")),
        *(ZoneRecord("www.pulse", "CNAME", "db.pulse"), ZoneRecord("_x._tcp.pulse", "SRV", "0 0 22 db.pulse")),
    ],
    routes=[
        Route(_SITE, "10.8.0.0/16", approved=True),
        Route(_SITE, "192.168.9.0/24", "10.9.9.0/24", approved=True),
        Route(bytes.fromhex(ME.node_id), "192.168.7.0/24", "10.7.7.0/24", approved=True),
    ],
    auto_approve={"2001:db8:20::/48": "site"},
)
"""Something of all that becomes tables and rules."""

RECORD: Final[dict[str, Any]] = {
    "candidates": ["192.0.2.1:443", "[2001:db8::1]:443"],
    "exits": ["10.8.0.0/16", "2001:db8:20::/64"],
    "services": [Service("ssh", 22)],
    "version": "1",
}

_configs = msgspec.msgpack.Decoder(Config)


@dataclass(frozen=True, slots=True)
class Parser:
    """One reader of bytes."""

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = (ProtocolError, Refused)
    most: int = MOST
    """Bytes of an input at most."""


def parsers(place: Path) -> list[Parser]:
    """All of them; `place` is a directory for files that are read."""
    return [
        *_wires(),
        *_meshes(),
        *_signed(),
        *_certificates(),
        *_joins(),
        *_typed(),
        *_requests(),
        *_routers(),
        *_files(place),
    ]


def _wires() -> Iterator[Parser]:
    for each in pkgutil.walk_packages(pulse.__path__, "pulse."):
        if each.name.startswith(("pulse.core.", "pulse.services.", "pulse.store.")):
            importlib.import_module(each.name)
    for kind in wire_types():
        decoder = msgspec.msgpack.Decoder(kind)
        read = partial(_unpacked, decoder)
        yield Parser(f"wire {kind.__module__}.{kind.__name__}", (sample(kind),), read, (ProtocolError,))
    said = (*(sample(kind) for kind in wire_types() if isinstance(kind.__struct_config__.tag, int)),)
    yield Parser("messages of neighbours", said, messages.decode, (ProtocolError,))
    yield Parser("requests by RPC", (messages.encode_call("ping", b"x"),), messages.decode_call, (ProtocolError,))
    answers = (messages.encode_result(b"x"), messages.encode_failure(Refused("no")))
    yield Parser("answers by RPC", answers, messages.decode_answer, (PulseError,))


def _unpacked(decoder: msgspec.msgpack.Decoder[Wire], data: bytes) -> Wire:
    return unpack(decoder, data, "it", RPC_LIMIT)


def _meshes() -> Iterator[Parser]:
    """A whole node hears it from a neighbour, and lives on with what it took from that: nothing at all may raise."""
    said_first = sign_record(key("alice"), ALICE, boot=1, seq=1, candidates=["192.0.2.1:443"], version="1").data
    items = [ROLES, FIRST, SCRIBES_CONFIG, revocation(BOB), Item(ObjectKind.CERTIFICATE, BOB.der)]
    lists = [messages.encode(messages.NodeRecords([said_first])), *(messages.encode(Objects([each])) for each in items)]
    others: tuple[type[Wire], ...] = (
        messages.Have,
        messages.Prune,
        messages.Digest,
        messages.Want,
        messages.Observed,
        messages.Leaving,
    )
    said = (*lists, *(sample(each) for each in others))
    yield Parser("a mesh told by a neighbour", said, _Listener().hears, ())
    record = sign_record(key("alice"), ALICE, boot=1, seq=1, **RECORD).data[HEADER:]
    yield Parser("a mesh told records well signed", (record, *worded(record)), _Listener().hears_record, ())
    config = pack(CONFIG)
    yield Parser("a mesh told configs of its scribe", (config, *worded(config)), _Listener().hears_config, ())


class _Listener:
    """A node with one neighbour, which links again whenever it was hung up on, and its data plane, a real one.

    It leads to a range itself, and what it is told last is news to it.
    """

    def __init__(self) -> None:
        self._node = Node(Mesh(ME, key("me"), CA.chain, Latest(), boot=1, version="1.0", offers=["192.168.7.0/24"]))
        raw, beside = bare_plane(), bind_udp("127.0.0.1", 0)
        self._plane = DataplaneLinks(raw, beside)
        for end in (raw.close, beside.close):
            weakref.finalize(self, end)
        self._plane.install_identity([ME.der], key_der("me"))
        self._number = 1
        self._node.linked(SCRIBE)
        self._node.told(ROLES, FIRST, Item(ObjectKind.CONFIG, sign_config(CA.network, CONFIG, key("scribe")).data))
        self._link = self._node.linked(ALICE)
        self._node.heard(
            self._link, messages.NodeRecords([sign_record(key("alice"), ALICE, boot=1, seq=1, **RECORD).data])
        )

    def hears(self, data: bytes) -> None:
        self._node.heard(self._link, data)
        self._moves()
        closed = self._node.did(CloseLink)
        self._node.passed(0.01)
        self._moves()
        if closed:
            self._node.parted(ALICE, self._link)
            self._link = self._node.linked(ALICE)

    def hears_config(self, payload: bytes) -> None:
        self._number += 1
        with suppress(ProtocolError):
            said = unpack(_configs, payload, "it", RPC_LIMIT)
            payload = pack(msgspec.structs.replace(said, scribe_epoch=1, generation=self._number))
        data = seal(ObjectKind.CONFIG, CA.network, payload, key("scribe"))
        self.hears(messages.encode(Objects([Item(ObjectKind.CONFIG, data[: messages.MESSAGE_LIMIT - 64])])))

    def hears_record(self, payload: bytes) -> None:
        self._number += 1
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            match msgspec.msgpack.decode(payload):
                case [certificate, _, _, *rest]:
                    payload = msgspec.msgpack.encode([certificate, 1, self._number, *rest])
        data = seal(ObjectKind.RECORD, CA.network, payload, key("alice"))
        if len(data) <= messages.RECORD_LIMIT:
            self.hears(messages.encode(messages.NodeRecords([data])))

    def _moves(self) -> None:
        """What the core makes of it the data plane reads and takes."""
        for effect in self._node.effects:
            match effect:
                case TablesChanged():
                    self._plane.replace_tables(effect)
                case PolicyChanged(rules):
                    self._plane.replace_policy(rules)
                case SendMessage(link, payload):
                    self._plane.send(link, payload)


def _signed() -> Iterator[Parser]:
    """As they are, and with anything under a good signature."""
    network, authorities = CA.network, (CA.authority,)
    held = Roles(1, sign_roles(network, Roles(1), CA.key).roles.scribe)
    record = sign_record(key("alice"), ALICE, boot=1, seq=1, candidates=["192.0.2.1:443"], version="1").data
    config = pack(Config(0, 1, Settings("10.100.0.0/16"), acl=[rule("*", "tag:x")], groups={"eyes": ["tag:cam"]}))
    revoked = sign_revocation(network, ALICE.node_id, CA.key, time=NOW).data
    following = make_authority(key("next"), network.name, NOW, 2, network.ca_hash)
    said = sign_succession(network, CA.key, following)
    beacon = Beacon(public_bytes(key("alice")), 1, 1, NOW, 443)
    datagram = write_beacon(network, beacon, key("alice"), bytes(12))
    ways: list[tuple[str, ObjectKind, bytes, Callable[[bytes], object]]] = [
        ("roles", ObjectKind.ROLES, ROLES.data, lambda data: open_roles(data, network, authorities)),
        ("revocations", ObjectKind.REVOCATION, revoked, lambda data: open_revocation(data, network, authorities)),
        ("CA keys", ObjectKind.SUCCESSION, said, CA.chain.extended),
        (
            "configs",
            ObjectKind.CONFIG,
            bytes(HEADER) + config,
            lambda data: open_config(data, network, authorities, held),
        ),
    ]
    for name, kind, data, read in ways:
        yield Parser(f"signed {name}", (data, SCRIBES_CONFIG.data), read)
        resigned = partial(_resigned, read, kind)
        yield Parser(f"{name} under a good signature", (data[HEADER:],), resigned)
    yield Parser("node records", (record,), lambda data: read_record(data).vouched(ALICE, network))
    yield Parser("node records under a good signature", (record[HEADER:],), _resigned_record)
    yield Parser("beacons", (datagram,), lambda data: read_beacon(data, network).vouched(network))
    yield Parser("beacons of who knows the network", (pack(beacon),), _resealed_beacon)


def _resigned(read: Callable[[bytes], object], kind: ObjectKind, data: bytes) -> object:
    return read(seal(kind, CA.network, data, CA.key))


def _resigned_record(data: bytes) -> object:
    record = read_record(seal(ObjectKind.RECORD, CA.network, data, key("alice")))
    return [*record.vouched(ALICE, CA.network).adjacencies()]


def _resealed_beacon(data: bytes) -> None:
    sealed = write_beacon(CA.network, msgspec.Raw(data), key("alice"), bytes(12))  # type: ignore[arg-type]
    read_beacon(sealed, CA.network).vouched(CA.network)


def _certificates() -> Iterator[Parser]:
    leaves = (ALICE.der, CA.leaf("web", name="web", tags=("front",)), CA.leaf("ca node", is_ca=True))
    yield Parser("certificates of nodes", leaves, lambda der: verify(parse(der), [CA.authority], NOW))
    yield Parser("certificates of CAs", (CA.authority.der,), parse_authority)


def _joins() -> Iterator[Parser]:
    made = token("t")
    asked = request("joiner", made, "web")
    csr = join.parse_request(asked).csr
    granted = join.Granted(ALICE.der, [CA.authority.der], [], join.Floors(), NOW)
    answer = join.build_answer(asked, granted, made.keys)
    renewal = renew.build_renewal(ME, bytes(16), key("me"))
    renewed = renew.build_answer(renewal, granted, CA.network, CA.key)
    chain = CA.chain
    yield Parser("join requests", (asked,), join.parse_request)
    yield Parser("certificate requests", (csr,), join.key_of_csr)
    yield Parser("join answers", (answer,), lambda data: join.parse_answer(data, asked, made.keys))
    yield Parser("renewals", (renewal,), lambda data: renew.read_renewal(data, [CA.authority]))
    yield Parser("answers to renewals", (renewed,), lambda data: renew.parse_answer(data, renewal, ME, chain))


def _typed() -> Iterator[Parser]:
    """What people paste, and what operators send."""
    invite = encode_invite(Invite(("192.0.2.1:443", "[2001:db8::1]:443"), CA.network, secret("i")))
    printed = print_token(secret("t"), CA.network.ca_hash)
    body = _wire_of(invite)
    yield Parser("invites", (invite.encode(),), lambda data: decode_invite(data.decode("latin-1")), (Refused,))
    yield Parser("invites whose sum is right", (body,), _summed_invite, (Refused,))
    yield Parser(
        "tokens", (printed.encode(), secret("t").encode()), lambda data: parse_token(data.decode("latin-1")), (Refused,)
    )
    before = draft(rule("tag:front", "web"), groups={"eyes": ["tag:cam"]})
    node = bytes.fromhex(ALICE.node_id)
    edits = Edits([NodeNamed(node, "web-2"), NodeTagged(node, "x"), GroupSet("eyes", ["cam"], ahead=True)], (1, 1))
    ruled = Edits([RuleAdded(["tag:front"], ["web"], allow=True, note="n")])
    yield Parser("edits", (pack(edits), pack(ruled)), lambda data: edited(before, read_edits(data), NOW), (PulseError,))


def _wire_of(invite: str) -> bytes:
    text = invite.removeprefix(INVITE_PREFIX)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))[3:-4]


def _summed_invite(body: bytes) -> object:
    data = b"\x01" + (len(body) % 65536).to_bytes(2) + body
    return decode_invite(INVITE_PREFIX + base64url(data + hashlib.sha256(data).digest()[:4]))


def _requests() -> Iterator[Parser]:
    for endpoint in ENDPOINTS:
        if endpoint.body is not None:
            decoder = msgspec.json.Decoder(endpoint.body)
            seeds = (body_of(endpoint), b'{"a":[1,2.5e9,null,true,"\\u00e9"]}')
            yield Parser(f"API {endpoint.method} {endpoint.path}", seeds, partial(_heard, decoder), JSON_REFUSALS)


def _heard(decoder: msgspec.json.Decoder[object], data: bytes) -> object:
    said = decoder.decode(data)
    strictjson.check(data)
    return said


def _routers() -> Iterator[Parser]:
    head = b"\x02\x81\x00\x00" + (3600).to_bytes(4) + (77).to_bytes(4) + bytes(12)
    mapping = bytes(12) + b"\x11\x00\x00\x00" + (443).to_bytes(2) * 2 + b"\0" * 10 + b"\xff\xff" + b"\xcb\x00\x71\x07"
    outside = b"\x00\x80\x00\x00" + (9).to_bytes(4) + b"\xcb\x00\x71\x07"
    mapped = b"\x00\x81\x00\x00" + (9).to_bytes(4) + (443).to_bytes(2) * 2 + (3600).to_bytes(4)
    found = b"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: http://192.168.1.1:80/x\r\n"
    described = soap.envelope("urn:schemas-upnp-org:service:WANIPConnection:1", "AddPortMapping", {"NewPort": 443})
    said = (PulseError,)
    yield Parser("PCP", (head + mapping,), lambda data: pcp.read_mapping(data, bytes(12), 17, 443), said)
    yield Parser("NAT-PMP addresses", (outside,), natpmp.read_outside, said)
    yield Parser("NAT-PMP mappings", (mapped,), lambda data: natpmp.read_mapping(data, 1, 443), said)
    yield Parser("SSDP", (found,), lambda data: ssdp.read_answer(data, GATEWAY), (ProtocolError,))
    yield Parser("XML of routers", (described,), lambda data: soap.leaves(soap.read(data)), (ProtocolError,))


def _files(place: Path) -> Iterator[Parser]:
    entries, digest = b"", GENESIS
    for seq in (1, 2, 3):
        text = msgspec.json.encode(Entry(seq, NOW, "join", {"node": ALICE.node_id, "before": GENESIS.hex()})).decode()
        digest = chained(digest, text)
        entries += segments.written(text, digest)
    path = segments.place(place, 1)
    # Our own file, which no stranger makes longer: what it costs goes by its lines.
    yield Parser("files of the journal", (entries,), partial(_segment, path), (PulseError,), most=8192)


def _segment(path: Path, data: bytes) -> object:
    path.write_bytes(data)
    path.chmod(0o600)
    lines = segments.read(path)
    return segments.sound(path, lines), [*segments.rows(lines, 1)]
