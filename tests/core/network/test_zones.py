"""Zone records: read in one form, refused if they cannot be so, or together; those of later releases are left alone."""

import pytest
from msgspec import structs

from pulse.core.network.zones import ZoneRecord, check_zones, describe_record, usable, written
from pulse.errors import Conflict, Refused


def record(kind: str, value: str, name: str = "db.pulse", ttl: int = 60) -> ZoneRecord:
    return ZoneRecord(name, kind, value, ttl)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (record("a", " 10.100.3.4 ", "DB"), record("A", "10.100.3.4")),
        (record("AAAA", "FD00:0:0::1"), record("AAAA", "fd00::1")),
        (record("cname", "vm-01"), record("CNAME", "vm-01.pulse")),
        (record("CNAME", "db.Example.com."), record("CNAME", "db.example.com")),
        (record("TXT", "v=1; all of it"), record("TXT", "v=1; all of it")),
        (record("SRV", "0  5 99 vm-01", "_pg._tcp.db.pulse"), record("SRV", "0 5 99 vm-01.pulse", "_pg._tcp.db.pulse")),
    ],
)  # fmt: skip
def test_a_record_has_one_form(typed: ZoneRecord, kept: ZoneRecord) -> None:
    assert written(typed) == kept
    assert written(kept) == kept


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (record("MX", "10 mail"), "no type of record"),
        (record("A", "10.100.3"), "no IPv4 address"),
        (record("A", "127.0.0.1"), "no other machine"),
        (record("A", "0.0.0.0"), "no other machine"),  # noqa: S104 (a record, not bound)
        (record("AAAA", "::1"), "no other machine"),
        (record("AAAA", "10.100.3.4"), "no IPv6 address"),
        (record("AAAA", "::ffff:10.0.0.1"), "one machine alone"),
        (record("AAAA", "fe80::1%eth0"), "one machine alone"),
        (record("CNAME", "not a name"), "no name"),
        (record("CNAME", "a..b"), "no name"),
        (record("TXT", "two\nlines"), "plain text"),
        (record("TXT", "ü" * 200), "255 bytes"),
        (record("SRV", "0 0 70000 db"), "no service"),
        (record("SRV", "0 0 db"), "no service"),
        (record("A", "10.0.0.1", "db.example.com"), "not under .pulse"),
        (record("A", "10.0.0.1", "-db"), "no name"),
        (record("A", "10.0.0.1", "x" * 64), "no name"),
        (record("A", "10.0.0.1", ttl=0), "604800 seconds"),
        (record("A", "10.0.0.1", ttl=604_801), "604800 seconds"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(typed: ZoneRecord, said: str) -> None:
    with pytest.raises(Refused, match=said):
        written(typed)


def test_an_alias_stands_alone() -> None:
    alias = record("CNAME", "vm-01.pulse")
    for other, remedy in ((record("A", "10.100.3.4"), "db.pulse A"), (record("CNAME", "vm-02.pulse"), "CNAME <value>")):
        with pytest.raises(Conflict, match=rf"db\.pulse cannot be an alias (?s:.*)pulse dns remove .*{remedy}"):
            check_zones([alias, other])
    check_zones([alias, record("A", "10.100.3.4", "vm-01.pulse")])


def test_aliases_lead_somewhere() -> None:
    with pytest.raises(Conflict, match="round in a circle"):
        check_zones([record("CNAME", "b.pulse", "a.pulse"), record("CNAME", "a.pulse", "b.pulse")])
    with pytest.raises(Refused, match="in a row"):
        check_zones([record("CNAME", f"n{number + 1}.pulse", f"n{number}.pulse") for number in range(20)])


def test_a_record_is_there_once_and_those_of_a_name_and_type_are_kept_as_long() -> None:
    with pytest.raises(Conflict, match="there twice"):
        check_zones([record("A", "10.100.3.4"), record("A", "10.100.3.4")])
    with pytest.raises(Conflict, match="several ttl"):
        check_zones([record("A", "10.100.3.4"), record("A", "10.100.3.5", ttl=5)])
    check_zones([record("A", "10.100.3.4"), record("A", "10.100.3.5"), record("TXT", "x", ttl=5)])


def test_there_are_so_many_and_no_more() -> None:
    with pytest.raises(Refused, match="2048 are allowed"):
        check_zones([record("A", "10.0.0.1", f"n{number}.pulse") for number in range(2049)])


def test_what_a_later_release_wrote_answers_nothing() -> None:
    good = record("A", "10.100.3.4")
    assert usable([record("MX", "10 mail"), good, record("A", "127.0.0.1"), record("A", "10.100.03.4")]) == [good]


def test_a_record_is_shown_without_tricks() -> None:
    assert describe_record(record("A", "10.100.3.4")) == "db.pulse A 10.100.3.4"
    assert "\x1b" not in describe_record(structs.replace(record("TXT", "\x1b[2J")))
