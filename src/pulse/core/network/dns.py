"""DNS as bytes: a query in, the answer out, of what a `Directory` says (RFC 1034, 1035, 2308, 6891).

This node answers for its own zones and for no others, and asks nobody. Invariant: whatever the bytes, there is an
answer that fits the limit, or none; nothing raises, and no answer is given to an answer.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dnslib import (
    AAAA,
    CNAME,
    NS,
    PTR,
    RCODE,
    RD,
    RR,
    SOA,
    SRV,
    TXT,
    A,
    DNSBuffer,
    DNSError,
    DNSHeader,
    DNSLabel,
    DNSQuestion,
    DNSRecord,
)

from pulse.core.network.directory import Directory
from pulse.core.network.zones import DOMAIN, TTL, Kind, Labels, Records, ZoneRecord, alias_among, trail

UDP_LIMIT: Final = 1232
"""Bytes of an answer in one datagram: every path carries that whole (DNS flag day 2020)."""

PLAIN_LIMIT: Final = 512
"""The same for who speaks no EDNS."""

TCP_LIMIT: Final = 65535

QUERY_LIMIT: Final = 1024
"""Bytes of a query: the longest name, and more options than anybody sends."""

NEGATIVE_TTL: Final = 10
"""Seconds for which "there is no such name" may be kept: nodes join, and rules change."""

HEADER: Final = 12
"""Bytes before the question."""

AMPLIFIED: Final = 3
"""Bytes that may be sent for each that came, to an address that nobody proved to have (RFC 9000, 8.1)."""

_OVERHEAD: Final = 28
"""Bytes around them on the wire, by IPv4."""

_MOST_HINTS: Final = 16
"""Addresses of so many services stand beside them in an answer."""

_REFRESH: Final = (3600, 600, 86400)
"""Refresh, retry, expire: for secondary servers, of which there are none."""

_IN, _ANY = 1, 255
_HINFO, _OPT = 13, 41
_SOA, _NS = 6, 2
_META: Final = range(128, 255)
"""Types that are no data: transfers of zones, transaction keys, and the like (RFC 6895)."""

_TYPES: Final = {1: Kind.A, 28: Kind.AAAA, 5: Kind.CNAME, 16: Kind.TXT, 33: Kind.SRV, 12: "PTR"}
_NUMBERS: Final = {kind: number for number, kind in _TYPES.items()}
_HEAD: Final = struct.Struct("!HHHHHH")
_EDNS: Final = struct.Struct("!BHHBBHH")
_ANSWER, _AUTHORITATIVE, _TRUNCATED, _RECURSION_DESIRED = 0x8000, 0x0400, 0x0200, 0x0100
_OPCODE: Final = 0x7800
_DNSSEC_OK: Final = 0x8000
_BAD_VERSION: Final = 16
_RFC8482: Final = b"\x07RFC8482\x00"


@dataclass(frozen=True, slots=True)
class _Query:
    number: int
    flags: int
    question: Any
    edns: "_Edns | None"

    @property
    def labels(self) -> Labels | None:
        """The name in lower case; None for one that no zone of ours can hold."""
        try:
            labels: Labels = tuple(label.decode("ascii").lower() for label in self.question.qname.label)
        except UnicodeDecodeError:
            return None
        return None if any("." in label for label in labels) else labels


@dataclass(frozen=True, slots=True)
class _Edns:
    size: int
    version: int
    flags: int


@dataclass(slots=True)
class _Answer:
    code: int = 0
    authoritative: bool = True
    answers: Sequence[Any] = ()
    authority: Sequence[Any] = ()
    hints: Sequence[Any] = ()


def answered(directory: Directory, data: bytes, *, tcp: bool = False) -> bytes | None:
    """The answer to a query, if it gets one."""
    if len(data) < HEADER:
        return None
    number, flags, questions, answers, authority, more = _HEAD.unpack_from(data)
    if flags & _ANSWER:
        return None
    if flags & _OPCODE:
        return _refusal(number, flags, RCODE.NOTIMP)
    if len(data) > QUERY_LIMIT or (questions, answers, authority) != (1, 0, 0) or more > 1:
        return _refusal(number, flags, RCODE.FORMERR)
    query = _read(data, number, flags, edns=more == 1)
    if query is None:
        return _refusal(number, flags, RCODE.FORMERR)
    if query.edns is not None and query.edns.version:
        return _packed(query, _Answer(_BAD_VERSION, authoritative=False), _limit(query, tcp=tcp))
    return _packed(query, _answer(directory, query), _limit(query, tcp=tcp))


def modest(query: bytes, answer: bytes) -> bytes:
    """That answer for an address that anybody could have written on the query: a long one only says that it is long.

    Whoever waits for it asks over TCP, where he has to be who he says.
    """
    if len(answer) <= AMPLIFIED * (len(query) + _OVERHEAD) - _OVERHEAD:
        return answer
    number, flags, *_ = _HEAD.unpack_from(answer)
    end = _question_end(answer) or HEADER
    return _HEAD.pack(number, flags | _TRUNCATED, int(end > HEADER), 0, 0, 0) + answer[HEADER:end]


# Reading


def _read(data: bytes, number: int, flags: int, *, edns: bool) -> _Query | None:
    """The one question of a message and what it says of EDNS; None if that is not all there is."""
    end = _question_end(data)
    if end is None:
        return None
    buffer = DNSBuffer(data[:end])
    buffer.offset = HEADER
    try:
        question = DNSQuestion.parse(buffer)
    except DNSError:
        return None
    if not edns:
        return _Query(number, flags, question, None) if end == len(data) else None
    if len(data) < end + _EDNS.size:
        return None
    root, kind, size, _, version, bits, length = _EDNS.unpack_from(data, end)
    if root or kind != _OPT or len(data) != end + _EDNS.size + length:
        return None
    return _Query(number, flags, question, _Edns(size, version, bits))


def _question_end(data: bytes) -> int | None:
    """Where the question ends; None for a name that is too long, cut off, or compressed: there is nothing before it."""
    at = HEADER
    while at < len(data) and data[at]:
        if data[at] > 63:
            return None
        at += data[at] + 1
    end = at + 5
    return end if end <= len(data) and at - HEADER < 255 else None


# Deciding


def _answer(directory: Directory, query: _Query) -> _Answer:
    kind, labels = query.question.qtype, query.labels
    if query.question.qclass != _IN or kind in _META:
        return _Answer(RCODE.REFUSED, authoritative=False)
    if kind in (_OPT, 0):
        return _Answer(RCODE.FORMERR, authoritative=False)
    apex = directory.apex(labels) if labels else None
    if labels is None or apex is None:
        return _Answer(RCODE.REFUSED, authoritative=False)
    if labels == apex and kind in (_SOA, _NS):
        return _Answer(answers=[_authority(directory, apex) if kind == _SOA else _server(directory, apex)])
    found = directory.at(labels)
    if kind == _ANY and found is not None:
        # RFC 8482: whoever asks for all there is means no harm, or much; both are told the same little.
        return _Answer(answers=[RR(query.question.qname, _HINFO, ttl=TTL, rdata=RD(_RFC8482))])
    return _looked_up(directory, query, labels)


def _looked_up(directory: Directory, query: _Query, labels: Labels) -> _Answer:
    """Of a name that is in a zone of ours; an alias is followed as long as it stays in one."""
    wanted = _TYPES.get(query.question.qtype)
    passed = [(labels, directory.at(labels))] if wanted == Kind.CNAME else trail(labels, directory.at)
    owners = [query.question.qname, *(_name(".".join(each)) for each, _ in passed[1:])]
    aliases = [alias_among(said) for _, said in passed[:-1]]
    answers = [_resource(owner, alias) for owner, alias in zip(owners, aliases, strict=False) if alias]
    (end, found), owner = passed[-1], owners[-1]
    apex = directory.apex(end)
    if apex is None:
        return _Answer(answers=answers)
    said = [each for each in found or () if each.kind == wanted]
    answers += [_resource(owner, each) for each in said]
    if said:
        return _Answer(answers=answers, hints=_hints(directory, said))
    code = RCODE.NXDOMAIN if found is None else RCODE.NOERROR
    return _Answer(code, answers=answers, authority=[_authority(directory, apex)])


def _hints(directory: Directory, said: Records) -> list[Any]:
    """Addresses of where services are, so that nobody has to ask again."""
    targets = dict.fromkeys(each.value.rpartition(" ")[2] for each in said if each.kind == Kind.SRV)
    if len(targets) > _MOST_HINTS:
        return []
    inside = ((name, labels) for name in targets if directory.apex(labels := tuple(name.split("."))))
    found = [(name, each) for name, labels in inside for each in directory.at(labels) or ()]
    return [_resource(_name(name), each) for name, each in found if each.kind in (Kind.A, Kind.AAAA)]


def _authority(directory: Directory, apex: Labels) -> Any:
    """Says how long a "no" may be kept (RFC 2308)."""
    me, keeper = _name(f"{directory.shown}.{DOMAIN}"), _name(f"hostmaster.{DOMAIN}")
    times = (directory.serial, *_REFRESH, NEGATIVE_TTL)
    return RR(_name(".".join(apex)), _SOA, ttl=NEGATIVE_TTL, rdata=SOA(me, keeper, times))


def _server(directory: Directory, apex: Labels) -> Any:
    return RR(_name(".".join(apex)), _NS, ttl=TTL, rdata=NS(_name(f"{directory.shown}.{DOMAIN}")))


# Writing


def _limit(query: _Query, *, tcp: bool) -> int:
    if tcp:
        return TCP_LIMIT
    return PLAIN_LIMIT if query.edns is None else min(max(query.edns.size, PLAIN_LIMIT), UDP_LIMIT)


def _packed(query: _Query, answer: _Answer, limit: int) -> bytes:
    """The answer in bytes; one that is too long goes without what it only adds, or says that it is cut."""
    whole = _pack(query, answer)
    if len(whole) > limit and answer.hints:
        answer.hints = ()
        whole = _pack(query, answer)
    if len(whole) <= limit:
        return whole
    return _pack(query, _Answer(answer.code), truncated=True)


def _pack(query: _Query, answer: _Answer, *, truncated: bool = False) -> bytes:
    header = DNSHeader(id=query.number, bitmap=_bits(query.flags, answer.code & 0xF))
    header.aa, header.tc = int(answer.authoritative), int(truncated)
    sections = {"rr": list(answer.answers), "auth": list(answer.authority), "ar": list(answer.hints)}
    record = DNSRecord(header, [query.question], **sections)
    if query.edns is not None:
        flags = answer.code >> 4 << 24 | query.edns.flags & _DNSSEC_OK
        record.add_ar(RR("", _OPT, UDP_LIMIT, flags, []))
    return bytes(record.pack())


def _refusal(number: int, flags: int, code: int) -> bytes:
    """The answer to what was not read: a header alone."""
    return _HEAD.pack(number, _bits(flags, code), 0, 0, 0, 0)


def _bits(flags: int, code: int) -> int:
    """Flags of an answer: recursion is not available here, whoever desires it."""
    return _ANSWER | flags & (_OPCODE | _RECURSION_DESIRED) | code


def _resource(owner: Any, record: ZoneRecord) -> Any:
    return RR(owner, _NUMBERS[record.kind], ttl=record.ttl, rdata=_DATA[record.kind](record.value))


def _service(value: str) -> Any:
    priority, weight, port, target = value.split()
    return SRV(int(priority), int(weight), int(port), _name(target))


def _name(text: str) -> Any:
    """A name of ours as the codec has it; of text it would make IDNA first."""
    return DNSLabel(text.encode())


_DATA: Final[Mapping[str, Callable[[str], Any]]] = {
    Kind.A: A,
    Kind.AAAA: AAAA,
    Kind.CNAME: lambda value: CNAME(_name(value)),
    Kind.TXT: lambda value: TXT([value.encode()]),
    Kind.SRV: _service,
    "PTR": lambda value: PTR(_name(value)),
}
