"""Doctor: each fault is named with its fix, the gravest first; a well node is well; the documented list is whole."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pulse.core.doctor import CHECKS, examine
from pulse.core.findings import Gravity
from pulse.core.symptoms import Machine, Missing, Running, Symptoms
from pulse.core.vitals import DAY

WELL = Machine(
    data_dir="/d", version="1.2.3", member=True, holder=7, port=8443, tun_wanted=True, may_configure=True,
    socket_bytes=1 << 22, mtus={"eth0": 1500}, dropping=[], disk_free=1 << 34, wall=50 * DAY, certificate_from=0.0,
    certificate_until=90 * DAY, open_files=65536,
)  # fmt: skip
RUNNING = Running(
    version="1.2.3", certificate_left=80 * DAY, certificate_life=90 * DAY, nat="cone", links=2, udp_links=1,
    cas={"relay": True}, scribe="relay", scribe_reached=True, versions={"relay": "1.2.9"},
)  # fmt: skip
BROKEN, WARNING, NOTE = Gravity.BROKEN, Gravity.WARNING, Gravity.NOTE
Fault = tuple[str, dict[str, Any], str, str, Gravity]
MACHINE_FAULTS: list[Fault] = [
    ("state", {"state_problem": "/d is open to other users.\nchmod 700 /d"}, "open to other", "chmod 700", BROKEN),
    ("disk", {"disk_problem": "No space left on device"}, "No space left", "df -h /d", BROKEN),
    ("disk", {"disk_free": 5 << 20}, "5 MiB are left", "df -h /d", WARNING),
    ("config", {"config_problem": "x.toml: unknown key tun.enabledx"}, "tun.enabledx", "pulse config check", BROKEN),
    ("node", {"silence": "it did not answer within 4 s"}, "process 7", "kill -9 7", BROKEN),
    ("port", {"port_problems": ["UDP port 8443 is in use.\nss -ulpn"]}, "8443 is in use", "ss -ulpn", BROKEN),
    ("tun", {"tun_problem": "No such file or directory"}, "/dev/net/tun", "modprobe tun", BROKEN),
    ("rights", {"may_configure": False}, "lacks CAP_NET_ADMIN", "install-service", BROKEN),
    ("buffers", {"socket_bytes": 212992, "may_configure": False, "tun_wanted": False}, "208 KiB", "sysctl", NOTE),
    ("mtu", {"mtus": {"eth0": 1200}}, "eth0 takes packets of 1200", "mtu 1500", WARNING),
    ("resolver", {"unresolved": [("relay.example.com", "unknown")]}, "relay.example.com", "getent hosts", WARNING),
    ("firewall", {"dropping": ["policy drop of table inet f, chain in"]}, "chain in", "udp dport 8443", WARNING),
    ("routes", {"route_conflict": "10.100.0.0/16 is in use.\n--mesh-cidr"}, "10.100.0.0/16", "mesh-cidr", BROKEN),
    ("leftovers", {"left": ["nftables pulse"]}, "nftables pulse", "pulse stop puts it back", WARNING),
    ("files", {"open_files": 256}, "256 files", "ulimit -n", WARNING),
    ("journal", {"journal_problem": "entry 7: its hash"}, "entry 7", "events --verify", WARNING),
]  # fmt: skip
RUNNING_FAULTS: list[Fault] = [
    ("tun", {"tun_problem": "the network's config has not come yet"}, "no mesh addresses", "pulse logs", BROKEN),
    ("exitnode", {"exit_versions": (4,), "exit_problem": "another exit.\nStop it"}, "another exit", "Stop it", BROKEN),
    ("exits", {"ranges_refused": ["::/0"]}, "::/0 is closed", "pulse route list", BROKEN),
    ("names", {"resolver_problem": "this node answers no DNS"}, "answers no DNS", "pulse setup dns --undo", BROKEN),
    ("certificate", {"certificate_left": -1.0}, "has ended", "30 days", BROKEN),
    ("certificate", {"certificate_left": 9 * DAY}, "ends in 9 days", "CA has to be up", WARNING),
    ("revoked", {"revoked": True}, "revoked", "new --data-dir", BROKEN),
    ("copies", {"alarms": ["cam: clone or lost state"]}, "cam: clone", "stop the copy", BROKEN),
    ("clock", {"clock_offset": -600.0}, "10 min behind", "timedatectl", WARNING),
    ("udp", {"udp_links": 0}, "no UDP gets through", "allow UDP", WARNING),
    ("peers", {"missing": [Missing("192.0.2.1:443", "relay", "refused")]}, "relay at 192.0.2.1:443", "nc -vz", BROKEN),
    ("ca", {"cas": {"relay": False}}, "no CA is reached (relay)", "pulse ping relay", WARNING),
    ("scribe", {"scribe_reached": False}, "scribe relay is not reached", "pulse ping relay", WARNING),
    ("scribe", {"scribe_problem": "another is.\npulse ca grant"}, "another is", "pulse ca grant", BROKEN),
    ("api", {"in_clear": {"--scribe-listen": "0.0.0.0:8080"}, "v4": "10.1.2.3"}, "0.0.0.0:8080 without TLS",
     "--scribe-listen 10.1.2.3:8080", WARNING),
    ("nat", {"nat": "symmetric"}, "symmetric NAT", "map a port", NOTE),
    ("journal", {"not_kept": "disk full"}, "events are not kept", "df -h", WARNING),
    ("log", {"log_lost": 3}, "3 lines", "df -h /d", WARNING),
    ("versions", {"version": "1.1.0", "versions": {}}, "that runs is pulse 1.1.0", "pulse restart", WARNING),
    ("versions", {"versions": {"cam": "1.1.0"}}, "cam 1.1.0", "one release", NOTE),
]  # fmt: skip


def test_a_well_node_is_well_and_every_check_looked() -> None:
    found = examine(Symptoms(WELL, RUNNING))

    assert (list(found.findings), list(found.unseen)) == ([], [])
    assert found.is_well
    assert [*found.well] == [check.name for check in CHECKS]


@pytest.mark.parametrize(("check", "fault", "what", "fix", "gravity"), MACHINE_FAULTS)
def test_a_fault_of_the_machine_is_named(
    check: str, fault: dict[str, Any], what: str, fix: str, gravity: Gravity
) -> None:
    found = examine(Symptoms(replace(WELL, **fault), RUNNING))

    assert [(each.check, each.gravity) for each in found.findings] == [(check, gravity)]
    assert what in found.findings[0].what
    assert fix in found.findings[0].fix
    assert found.is_well is (gravity is Gravity.NOTE)


@pytest.mark.parametrize(("check", "fault", "what", "fix", "gravity"), RUNNING_FAULTS)
def test_a_fault_of_the_node_is_named(check: str, fault: dict[str, Any], what: str, fix: str, gravity: Gravity) -> None:
    found = examine(Symptoms(WELL, replace(RUNNING, **fault)))

    assert [(each.check, each.gravity) for each in found.findings] == [(check, gravity)]
    assert what in found.findings[0].what
    assert fix in found.findings[0].fix


def test_a_machine_without_network_blames_no_node() -> None:
    missing = [Missing("192.0.2.1:443", "relay", "refused"), Missing("192.0.2.2:443", "b", "")]
    (found,) = examine(Symptoms(WELL, replace(RUNNING, missing=missing, cut_off=True))).findings

    assert (found.check, found.gravity) == ("peers", BROKEN)
    assert found.what.startswith("this machine has no network")
    assert "ip link" in found.fix


def test_every_check_has_a_fault_here() -> None:
    assert {check.name for check in CHECKS} == {each[0] for each in (*MACHINE_FAULTS, *RUNNING_FAULTS)}


def test_the_gravest_comes_first() -> None:
    running = replace(RUNNING, nat="symmetric", udp_links=0, revoked=True)

    assert [each.check for each in examine(Symptoms(WELL, running)).findings] == ["revoked", "udp", "nat"]


def test_without_a_node_the_certificate_on_disk_is_judged_and_the_node_is_missed() -> None:
    stopped = replace(WELL, holder=0)

    assert [each.check for each in examine(Symptoms(stopped)).findings] == ["node"]
    ended = examine(Symptoms(replace(stopped, wall=91 * DAY))).findings
    assert [each.check for each in ended] == ["certificate", "node"]
    early = examine(Symptoms(replace(stopped, wall=0.0, certificate_from=DAY))).findings
    assert [each.check for each in early] == ["node", "clock"]


def test_a_machine_in_no_network_is_well() -> None:
    found = examine(Symptoms(replace(WELL, member=False, holder=0, certificate_until=None)))

    assert [(each.check, each.gravity) for each in found.findings] == [("state", Gravity.NOTE)]
    assert found.is_well


def test_files_that_are_closed_to_us_are_said_to_be() -> None:
    found = examine(Symptoms(Machine(data_dir="/d", closed="/d is closed to this user: use sudo"), RUNNING))

    assert dict(found.unseen)["state"].endswith("use sudo")


def test_the_documented_list_is_that_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "doctor.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z]+) \| ([^|]+) \|", text, re.MULTILINE)

    assert [row for row in rows if row[0] != "check"] == [(check.name, check.about) for check in CHECKS]
