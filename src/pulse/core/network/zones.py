"""What names under `.pulse` say besides the nodes' own: records that the network config keeps.

Records are kept as people write them, each in one form. Invariant: what cannot be read here, as a kind of record of a
later release, is never written here, and of no use to whoever answers questions.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Annotated, Final

import msgspec
from msgspec import structs

from pulse.core.likeness import nearest
from pulse.core.messages import U32, Wire, printable, shortened
from pulse.core.types import ShortText, Text
from pulse.errors import Conflict, NotFound, Refused

DOMAIN: Final = "pulse"
"""The zone: no record is outside."""

RECORDS_LIMIT: Final = 2048
"""Records of one config."""

TTL: Final = 60
"""Seconds for which an answer may be kept, unless said otherwise."""

LONGEST_TTL: Final = 7 * 86400

ALIKE_LIMIT: Final = 128
"""Records of one name and type: all of them fit into one answer, whatever they say."""

TXT_LIMIT: Final = 255
"""Bytes of one character string (RFC 1035, 3.3)."""

_NAME_LIMIT: Final = 253
LONGEST_CHAIN: Final = 8
"""Aliases that lead on to one another."""

Labels = tuple[str, ...]
"""A name in lower case, the outermost label last."""

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_SRV = re.compile(r"(\d{1,5})\s+(\d{1,5})\s+(\d{1,5})\s+(\S+)")
_HIGHEST: Final = 65535


class Kind(StrEnum):
    """Types of records."""

    A = "A"
    AAAA = "AAAA"
    CNAME = "CNAME"
    TXT = "TXT"
    SRV = "SRV"


class ZoneRecord(Wire, frozen=True):
    """One record; later releases append fields."""

    name: Text
    """The whole name, lower case, no dot at its end."""
    kind: ShortText
    """One of `Kind`; text, for there may be others one day."""
    value: Text
    """An address; a whole name; a text; or for SRV `priority weight port name`."""
    ttl: U32 = TTL


Records = Sequence[ZoneRecord]
"""What is said of one name."""


Zones = Annotated[list[ZoneRecord], msgspec.Meta(max_length=RECORDS_LIMIT)]


def written(record: ZoneRecord) -> ZoneRecord:
    """The record in its one form; raises Refused if it is none."""
    if record.kind.upper() not in Kind.__members__:
        raise Refused(f'"{shortened(record.kind)}" is no type of record. There are: {", ".join(Kind)}')
    kind = Kind(record.kind.upper())
    if not 0 < record.ttl <= LONGEST_TTL:
        raise Refused(f"a record is kept for 1 to {LONGEST_TTL} seconds, not {record.ttl}")
    name = zone_name(record.name)
    return structs.replace(record, name=name, kind=str(kind), value=_VALUES[kind](record.value.strip()))


def zone_name(text: str) -> str:
    """A whole name of the zone as records have it; raises Refused if it is none."""
    name = _name(text)
    if not name.endswith(f".{DOMAIN}"):
        raise Refused(f'"{shortened(text)}" is not under .{DOMAIN}. Write it like db.{DOMAIN}')
    return name


def matching(records: Iterable[ZoneRecord], name: str, kind: str, value: str = "") -> list[ZoneRecord]:
    """Those of a name and type, and of a value if one is said, as people type them; raises NotFound if there is none.

    A record that cannot be read here is found by its very words.
    """
    known = list(records)
    wanted = zone_name(name)
    of_kind = [each for each in known if each.name == wanted and each.kind == kind.upper()]
    found = [each for each in of_kind if not value or each.value in (value, _read(kind, value))]
    if found:
        return found
    called = shortened(f"{wanted} {kind.upper()} {value}".strip())
    others = [each for each in known if each.name == wanted]
    if others:
        raise NotFound(f"there is no record {called}. There is: {'; '.join(map(describe_record, others[:4]))}")
    near = near_name(wanted, (each.name for each in known))
    hint = f"Did you mean {near}?" if near else "See them: pulse dns list"
    raise NotFound(f"there is no record {called}. {hint}")


def near_name(name: str, known: Iterable[str]) -> str:
    """The one of the known names of the zone that somebody may have meant; empty for none."""
    stems = sorted({each.removesuffix(f".{DOMAIN}") for each in known})
    near = nearest(name.removesuffix(f".{DOMAIN}"), stems)
    return f"{near}.{DOMAIN}" if near else ""


def check_zones(records: Sequence[ZoneRecord]) -> None:
    """Raise Refused, or Conflict, for records in their form that cannot stand together."""
    if len(records) > RECORDS_LIMIT:
        raise Refused(f"these are {len(records)} records; {RECORDS_LIMIT} are allowed")
    count = Counter(each.name for each in records)
    for (name, kind), alike in Counter((each.name, each.kind) for each in records).items():
        if alike > ALIKE_LIMIT:
            raise Refused(f"{name} would have {alike} {kind} records; {ALIKE_LIMIT} are allowed")
    ttls: dict[tuple[str, str], int] = {}
    seen = set[tuple[str, str, str]]()
    for each in records:
        if (each.name, each.kind, each.value) in seen:
            raise Conflict(f"{describe_record(each)} is there twice")
        seen.add((each.name, each.kind, each.value))
        if each.kind == Kind.CNAME and count[each.name] > 1:
            raise Conflict(_beside_alias(each, {other.kind for other in records if other.name == each.name}))
        if ttls.setdefault((each.name, each.kind), each.ttl) != each.ttl:
            # RFC 2181, 5.2: all records of one name and type have one time to live.
            raise Conflict(f"{each.name} has {each.kind} records of several ttl. Give them one")
    _check_ends({each.name: each.value for each in records if each.kind == Kind.CNAME})


def _beside_alias(alias: ZoneRecord, kinds: set[str]) -> str:
    """That an alias stands alone, and what to remove so that it does."""
    own = min(kinds - {Kind.CNAME}, default="")
    if not own:
        which = f"pulse dns remove {alias.name} CNAME <value>"
        return f"{alias.name} cannot be an alias (CNAME) of several names.\nRemove one: {which}"
    return (
        f"{alias.name} cannot be an alias (CNAME) and have records of its own.\n"
        f"Remove these, or the alias: pulse dns remove {alias.name} {own}, or pulse dns remove {alias.name} CNAME"
    )


def usable(records: Iterable[ZoneRecord]) -> list[ZoneRecord]:
    """Those that this release can read, for whoever answers questions."""
    return [each for each in records if _is_written(each)]


def describe_record(record: ZoneRecord) -> str:
    """`db.pulse A 10.100.3.4`."""
    return printable(f"{record.name} {record.kind} {record.value}")


def _read(kind: str, value: str) -> str:
    """A value in its one form, or as it is if that cannot be read."""
    try:
        return _VALUES[Kind(kind.upper())](value.strip())
    except (Refused, ValueError):
        return value


def _is_written(record: ZoneRecord) -> bool:
    try:
        return written(record) == record
    except Refused:
        return False


def trail(name: Labels, at: Callable[[Labels], Records | None]) -> list[tuple[Labels, Records | None]]:
    """A name and what is said of it, then of what it is an alias of, and so on; `LONGEST_CHAIN` aliases at the most.

    `at` says what is said of a name: None if there is none such.
    """
    passed = [(name, at(name))]
    while len(passed) <= LONGEST_CHAIN and (alias := alias_among(passed[-1][1])) is not None:
        following = tuple(alias.value.split("."))
        passed.append((following, at(following)))
    return passed


def alias_among(said: Records | None) -> ZoneRecord | None:
    """The record that makes a name an alias, if one does."""
    return next((each for each in said or () if each.kind == Kind.CNAME), None)


def _check_ends(aliases: Mapping[str, str]) -> None:
    """Raise Conflict if aliases lead round in a circle."""
    ended = set[str]()
    for first in aliases:
        name, passed = first, list[str]()
        while name in aliases and name not in ended:
            if name in passed:
                raise Conflict(f"aliases lead round in a circle: {' → '.join([*passed[-3:], name])}")
            if len(passed) >= LONGEST_CHAIN:
                raise Refused(f"{first} is an alias of an alias, and so on: {LONGEST_CHAIN} in a row are allowed")
            passed.append(name)
            name = aliases[name]
        ended.update(passed)


def _name(text: str) -> str:
    """A whole name in lower case: a word alone is one under `.pulse`."""
    name = text.strip().lower().removesuffix(".")
    whole = name if "." in name or not name else f"{name}.{DOMAIN}"
    if len(whole) > _NAME_LIMIT or not all(_LABEL.fullmatch(label) for label in whole.split(".")):
        raise Refused(f'"{shortened(text)}" is no name. Write it like db.{DOMAIN}')
    return whole


def _v4(text: str) -> str:
    try:
        address = IPv4Address(text)
    except AddressValueError as error:
        raise Refused(f'"{shortened(text)}" is no IPv4 address') from error
    return _reachable(address)


def _v6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        raise Refused(f'"{shortened(text)}" is no IPv6 address') from error
    if address.ipv4_mapped is not None or address.scope_id is not None:
        raise Refused(f"{shortened(text)} is an IPv6 address of one machine alone. Write {Kind.A} for an IPv4 one")
    return _reachable(address)


def _reachable(address: IPv4Address | IPv6Address) -> str:
    """Its text; no name may lead a program to the machine it runs on (DNS rebinding)."""
    if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local:
        raise Refused(f"{address} is an address that no other machine is reached at")
    return str(address)


def _text(text: str) -> str:
    if not text.isprintable() or len(text.encode()) > TXT_LIMIT:
        raise Refused(f"a TXT record is one line of plain text, {TXT_LIMIT} bytes at most")
    return text


def _service(text: str) -> str:
    found = _SRV.fullmatch(text)
    numbers = [int(each) for each in found.groups()[:3]] if found else [_HIGHEST + 1]
    if found is None or max(numbers) > _HIGHEST:
        raise Refused(f'"{shortened(text)}" is no service. Write priority, weight, port and name: 0 0 5432 db.{DOMAIN}')
    return f"{' '.join(map(str, numbers))} {_name(found[4])}"


_VALUES: Final[Mapping[Kind, Callable[[str], str]]] = {
    Kind.A: _v4,
    Kind.AAAA: _v6,
    Kind.CNAME: _name,
    Kind.TXT: _text,
    Kind.SRV: _service,
}
