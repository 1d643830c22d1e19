"""Labs inside a user namespace: the same, without root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pulse.errors import SystemRefused
from pulse.lab import rootless

PINGS = """
from pulse.lab import rootless
from pulse.lab.lab import Lab
rootless.enter_user_namespace([])
with Lab() as lab:
    print(lab.name)
    print(lab["a"].run(["ping", "-c1", "-W5", str(lab["b"].v6.ip)]).stdout)
    print(lab["a"].run(["hostname"]).stdout)
"""


NAT = """
from pulse.lab import rootless
from pulse.lab.impairment import Impairment
from pulse.lab.lab import Lab
from pulse.lab.plan import Nat
from pulse.lab.topologies import nat
rootless.enter_user_namespace([])
with Lab(nat()) as lab:
    print(lab.name)
    lab.set_nat("nat-a", Nat.SYMMETRIC)
    lab.rebind_nat("nat-a")
    lab.impair(0, Impairment(delay_ms=5, loss_percent=0.01, rate_mbit=10))
    lab.interrupt(1, 0.001)
    print(lab["a"].run(["ping", "-c3", "-i0.2", "-W5", str(lab["hub"].v4.ip)]).stdout)
"""


@pytest.mark.parametrize("program", [PINGS, NAT])
def test_a_lab_works_in_a_user_namespace(program: str) -> None:
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "--mount", sys.executable, "-c", program],
        env={**os.environ, "PULSE_LAB_USER_NAMESPACE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert " 0% packet loss" in done.stdout
    name = done.stdout.split()[0]
    assert not [path for path in Path("/run").rglob("netns/*") if name in path.name]


def test_without_root_the_program_starts_again_in_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(rootless, "is_root", lambda: False)
    monkeypatch.setattr(rootless, "_try_unshare", lambda: None)
    monkeypatch.setattr(os, "execvp", lambda _, command: started.append(command))
    monkeypatch.setattr(os, "environ", dict(os.environ))

    rootless.enter_user_namespace(["demo", "--json"])

    ((program, *_, last, flag),) = started
    assert (program, last, flag) == ("unshare", "demo", "--json")
    assert rootless.is_inside()


def test_as_root_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootless, "is_root", lambda: True)
    monkeypatch.setattr(os, "execvp", lambda *_: pytest.fail("started again"))

    rootless.enter_user_namespace(["demo"])


def test_a_system_without_user_namespaces_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootless, "is_root", lambda: False)
    monkeypatch.setattr(rootless, "_UNSHARE", ["sh", "-c", "echo forbidden >&2; exit 1", "sh"])

    with pytest.raises(SystemRefused, match=r"no namespaces \(forbidden\)"):
        rootless.enter_user_namespace([])


def test_what_stays_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootless, "is_root", lambda: False)

    with pytest.raises(SystemRefused, match="a lab that stays up needs root"):
        rootless.require_root("a lab that stays up")


@pytest.mark.parametrize(("bits", "enough"), [("000001ffffffffff", True), ("00000000a80425fb", False)])
def test_root_is_judged_by_its_capabilities(bits: str, enough: bool) -> None:
    assert rootless._has_capabilities(f"Name:\tpulse\nCapEff:\t{bits}\n") is enough
