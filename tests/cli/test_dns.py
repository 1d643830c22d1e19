"""`pulse dns`, against a control socket."""

import json

from pulse.schemas.dns import RecordRef, RecordRequest
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_records_are_listed(shell: Shell, control: FakeControl) -> None:
    rows = [line.split() for line in shell.node("dns", "list").out.splitlines()]
    assert rows == [["NAME", "TYPE", "VALUE", "TTL"], ["db.pulse", "CNAME", "vm-01.pulse", "60"]]
    assert json.loads(shell.node("dns", "list", "--json").out)[0]["value"] == "vm-01.pulse"

    control.dns.there = []
    assert "pulse dns add" in shell.node("dns").out


def test_a_record_is_added(shell: Shell, control: FakeControl) -> None:
    done = shell.node("dns", "add", "lan", "A", "10.9.0.1", "--ttl", "300")
    assert (done.out, done.err) == ("added lan A 10.9.0.1, ttl 300 s\nnetwork config 1.8\n", "")
    assert control.asked == [RecordRequest("lan", "A", "10.9.0.1", 300)]
    done = shell.node("dns", "add", "_pg._tcp.db", "SRV", "0 0 5432 vm-1.pulse", "--json")
    assert json.loads(done.out)["note"].startswith("nothing is called vm-1.pulse")


def test_what_may_not_be_meant_is_said(shell: Shell, control: FakeControl) -> None:
    done = shell.node("dns", "add", "www", "CNAME", "vm-1.pulse")
    assert (done.code, done.err) == (0, "note: nothing is called vm-1.pulse yet. Did you mean vm-01.pulse?\n")


def test_records_are_taken_away(shell: Shell, control: FakeControl) -> None:
    done = shell.node("dns", "remove", "db.pulse", "CNAME")
    assert done.out == "removed db.pulse CNAME vm-01.pulse, ttl 60 s\nnetwork config 1.8\n"
    shell.node("dns", "remove", "db.pulse", "CNAME", "vm-01.pulse")
    assert control.asked == [RecordRef("db.pulse", "CNAME"), RecordRef("db.pulse", "CNAME", "vm-01.pulse")]


def test_no_is_said_in_words(shell: Shell, control: FakeControl) -> None:
    gone = shell.node("dns", "remove", "gone", "A")
    assert (gone.code, gone.err) == (4, "error: there is no record gone A. See them: pulse dns list\n")
    assert shell.node("dns", "add", "a", "MX", "x").code == 3
    assert "needs TYPE" in shell.node("dns", "add", "db").err
