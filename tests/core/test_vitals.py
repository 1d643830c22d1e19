"""Vitals: what is wrong with a node makes the first line of its status, and the doctor finds it in the same words."""

from dataclasses import replace
from typing import Any

import pytest

from pulse.core import health
from pulse.core.doctor import CHECKS, examine
from pulse.core.findings import Gravity
from pulse.core.health import Company
from pulse.core.symptoms import Missing, Symptoms
from pulse.core.vitals import DAY, JUDGES, findings
from tests.core.test_doctor import RUNNING, WELL

BROKEN, WARNING = Gravity.BROKEN, Gravity.WARNING
RELAY = Missing("192.0.2.1:443", "relay", "no answer")
PAST = "128.0.0.0/1 via 192.0.2.1 dev eth0"
FAULTS: list[tuple[str, Gravity, dict[str, Any], str, str]] = [
    ("revoked", BROKEN, {"revoked": True}, "this node is revoked: nobody talks to it", "new --data-dir"),
    ("certificate", BROKEN, {"certificate_left": 0.0}, "this node's certificate has ended, so nobody", "for 30 days"),
    ("tun", BROKEN, {"tun_problem": "no /dev/net/tun"}, "no mesh addresses: no /dev/net/tun", "pulse logs"),
    ("peers", BROKEN, {"missing": [RELAY]}, "relay at 192.0.2.1:443 is not reached: no answer", "nc -vz 192.0.2.1 443"),
    ("peers", BROKEN, {"missing": [Missing("b:1", "", "")]}, "b:1 is not reached", "is it up, and its UDP"),
    ("peers", BROKEN, {"missing": [Missing("[fd18::1]:443", "", "")]}, "[fd18::1]:443 is not", "nc -vz fd18::1 443"),
    ("peers", BROKEN, {"missing": [RELAY, RELAY], "cut_off": True}, "this machine has no network: no", "ip link"),
    ("scribe", BROKEN, {"scribe_problem": "no CA yet"}, "this node is not the scribe it was started to be: no CA",
     "pulse ca roles"),
    ("names", BROKEN, {"resolver_problem": "no DNS"}, "this machine does not ask for names under .pulse: no DNS",
     "to do without: pulse setup dns --undo"),
    ("names", BROKEN, {"resolver_problem": "no DNS.\nRestart it"}, "this machine does not ask for names", "Restart it"),
    ("exits", BROKEN, {"exits_problem": "another node uses exits.\nStop it"}, "another node uses exits", "Stop it"),
    ("exits", BROKEN, {"ranges_refused": ["::/0"]}, "::/0 is closed: no exit leads there now", "pulse route list"),
    ("exits", BROKEN, {"ranges_refused": ["0.0.0.0/0", "::/0"]}, "0.0.0.0/0, ::/0 are closed", "pulse route list"),
    ("exits", WARNING, {"bypasses": (PAST,)}, "packets for 128.0.0.0/1 go past the exit in use",
     f"ip route del {PAST}; if you do: ip route change {PAST}"),
    ("exitnode", BROKEN, {"exit_problem": "nobody gets out: no nft"}, "nobody gets out: no nft", "pulse logs"),
    ("leftovers", WARNING, {"left": "undo is damaged"}, "an earlier run may have left something here: undo", "logs"),
    ("clock", WARNING, {"clock_offset": 301.0}, "this clock is 5 min ahead of the neighbours'", "timedatectl"),
    ("clock", WARNING, {"clock_offset": -3600.0}, "this clock is 60 min behind the neighbours'", "timedatectl"),
    ("ca", WARNING, {"rotation_problem": "the CA's key is not replaced further: cam-7 is reached\nstart it again"},
     "the CA's key is not replaced further: cam-7 is reached", "start it again"),
    ("certificate", WARNING, {"certificate_left": 19 * DAY}, "this node's certificate ends in 19 days", "pulse cert"),
    ("certificate", WARNING, {"late": [("cam-7", 6 * DAY)]}, "certificate of cam-7 ends in 6 days", "pulse why cam-7"),
    ("certificate", WARNING, {"late": [("cam-7", 3e4)]}, "certificate of cam-7 ends in less than a day", "why cam-7"),
    ("certificate", WARNING, {"late": [("cam-7", 1e5)]}, "certificate of cam-7 ends in 1 day", "pulse why cam-7"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "gravity", "fault", "what", "fix"), FAULTS)
def test_what_makes_the_status_unwell_is_found_by_the_doctor_in_the_same_words(
    check: str, gravity: Gravity, fault: dict[str, Any], what: str, fix: str
) -> None:
    running = replace(RUNNING, **fault)
    sentence = health.judge(running, Company()).sentence
    (found,) = examine(Symptoms(WELL, running)).findings

    assert (found.check, found.gravity) == (check, gravity)
    assert found.what.startswith(what)
    assert fix in found.fix
    assert sentence.startswith(f"1 thing to see to: {what}")
    assert sentence.endswith(f"({found.fix}).")


def test_every_judge_is_asked_by_a_check_and_has_a_fault_here() -> None:
    assert {check for check, _ in JUDGES} <= {check.name for check in CHECKS}
    faulty = [replace(RUNNING, **fault) for _, _, fault, _, _ in FAULTS]
    assert all(any([*judge(check, each)] for each in faulty) for check, judge in JUDGES)


@pytest.mark.parametrize(
    ("machine", "check"), [({"tun_problem": "no device"}, "tun"), ({"route_conflict": "in use"}, "routes")]
)
def test_a_device_that_has_no_addresses_is_told_of_once(machine: dict[str, str], check: str) -> None:
    found = examine(Symptoms(replace(WELL, **machine), replace(RUNNING, tun_problem="it is so"))).findings  # type: ignore[arg-type]  # by name

    assert [each.check for each in found] == [check]


def test_all_that_is_wrong_at_once_is_found_by_both() -> None:
    sick = replace(RUNNING, **{name: value for _, _, fault, _, _ in FAULTS for name, value in fault.items()})

    found = examine(Symptoms(WELL, sick)).findings
    assert {(each.check, each.what) for each in findings(sick)} == {(each.check, each.what) for each in found}


def test_a_well_node_has_nothing_wrong() -> None:
    assert findings(RUNNING) == []


@pytest.mark.parametrize(("left", "well"), [(20 * DAY, True), (20 * DAY - 1, False)])
def test_a_certificate_is_worth_a_word_in_its_last_twenty_days(left: float, *, well: bool) -> None:
    assert bool(findings(replace(RUNNING, certificate_left=left))) is not well


def test_a_short_life_is_judged_by_its_own_measure() -> None:
    assert not findings(replace(RUNNING, certificate_left=5.0, certificate_life=20.0))
    assert findings(replace(RUNNING, certificate_left=4.0, certificate_life=20.0))


@pytest.mark.parametrize("offset", [300.0, -300.0])
def test_a_clock_a_little_off_is_well(offset: float) -> None:
    assert not findings(replace(RUNNING, clock_offset=offset))
