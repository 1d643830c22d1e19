"""Labs on the real kernel: built, used, taken away, also after a crash."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.errors import ConfigError, Conflict, NotFound, SystemRefused
from pulse.lab import lab as lab_module
from pulse.lab import namespaces
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab, clean, find
from pulse.lab.plan import TWO_HOSTS, HostPlan, NetworkPlan, Plan
from pulse.lab.state import create, identify, is_alive
from pulse.lab.topologies import RELAY, star
from tests.leftovers import leftovers
from tests.namespace import require_root

ROUTED = Plan(
    {"left": HostPlan(), "gate": HostPlan(router=True), "right": HostPlan(), "other": HostPlan()},
    (NetworkPlan(("left", "gate")), NetworkPlan(("gate", "right", "other"), mtu=1400)),
)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    require_root()
    before = leftovers()
    yield
    assert leftovers() <= before


@pytest.mark.parametrize("version", ["v4", "v6"])
def test_two_hosts_reach_each_other(version: str) -> None:
    with Lab() as lab:
        lab["a"].run(["ping", "-c1", "-W5", str(getattr(lab["b"], version).ip)])


@pytest.mark.parametrize("version", ["v4", "v6"])
def test_hosts_reach_each_other_over_a_router_and_a_switch(version: str) -> None:
    with Lab(ROUTED) as lab:
        lab["left"].run(["ping", "-c1", "-W5", str(getattr(lab["other"], version).ip)])
        lab["right"].run(["ping", "-c1", "-W5", str(getattr(lab["other"], version).ip)])
        assert " mtu 1400 " in lab["gate"].run(["ip", "link", "show", "eth1"]).stdout


def test_the_host_itself_sees_none_of_it() -> None:
    def links() -> list[str]:
        return sorted(os.listdir("/sys/class/net"))

    before = links()
    with Lab(ROUTED):
        assert links() == before


def test_two_labs_of_one_description_live_side_by_side() -> None:
    with Lab() as one, Lab() as other:
        assert one.name != other.name
        one["a"].run(["ping", "-c1", "-W5", str(one["b"].v4.ip)])
        other["a"].run(["ping", "-c1", "-W5", str(other["b"].v4.ip)])


def test_a_namespace_of_that_name_fails_the_lab_and_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = create(tmp_path)
    taken = f"pulse-{state.record.name}-b"
    subprocess.run(["ip", "netns", "add", taken], check=True)
    monkeypatch.setattr(lab_module, "create", lambda _: state)
    try:
        with pytest.raises(Conflict, match=f"{taken} already, and this lab did not make it"), Lab(TWO_HOSTS, tmp_path):
            pass
        assert (namespaces.NAMESPACES / taken).exists()
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["ip", "netns", "delete", taken], check=True)


def test_a_lab_that_cannot_be_built_leaves_nothing(tmp_path: Path) -> None:
    plan = Plan(TWO_HOSTS.hosts, (NetworkPlan(("a", "b"), mtu=7),))

    with pytest.raises(SystemRefused, match="the lab could not be built: ip link add"), Lab(plan, tmp_path):
        pass

    assert list(tmp_path.iterdir()) == []


def test_every_process_ends_with_its_lab() -> None:
    with Lab() as lab:
        deaf = lab["a"].popen(["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"])
        lab["b"].run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 &"])
        strays = [identify(pid) for pid in namespaces.processes_in(lab["b"].namespace)]
        assert strays
    assert deaf.wait() == -signal.SIGKILL
    assert not any(stray and is_alive(stray) for stray in strays)


CRASHES = """
import os, signal, sys
from pathlib import Path
from pulse.lab.lab import Lab
with Lab(root=Path(sys.argv[1])) as lab:
    lab["a"].popen(["sleep", "600"])
    print(lab.name, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_crash_clean_takes_all_away(tmp_path: Path) -> None:
    crashed = subprocess.run(
        [sys.executable, "-c", CRASHES, str(tmp_path)], capture_output=True, text=True, check=False
    )
    name = crashed.stdout.strip()
    state = find(name, tmp_path)
    (sleeper,) = state.record.processes
    assert is_alive(sleeper)

    assert clean(root=tmp_path) == [name]

    wait_until(lambda: not is_alive(sleeper), "the sleeper ends")
    assert list(tmp_path.iterdir()) == []


def test_a_lab_in_use_is_not_cleaned(tmp_path: Path) -> None:
    with Lab(root=tmp_path) as lab:
        assert clean(root=tmp_path) == []
        with pytest.raises(Conflict, match=f"in use by process {os.getpid()}"):
            clean(lab.name, tmp_path)
        lab["a"].run(["true"])


def test_a_kept_lab_stays_until_it_is_cleaned(tmp_path: Path) -> None:
    with Lab(root=tmp_path) as lab:
        lab.keep()
    lab["a"].run(["ping", "-c1", "-W5", str(lab["b"].v4.ip)])

    assert clean(lab.name, tmp_path) == [lab.name]


def test_a_lab_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no lab 12-ab here \(there are: none\)"):
        clean("12-ab", tmp_path)


def test_a_lab_is_there_inside_its_block_only() -> None:
    with pytest.raises(RuntimeError, match="with block"):
        Lab().keep()


# Changes while hosts run


def test_two_hosts_are_put_on_one_network_while_they_run() -> None:
    with Lab(RELAY) as lab:
        lab.join_network("left", "right")
        left, right = lab["left"], lab["right"]

        assert [port.interface for port in right.ports] == ["eth0", "eth1"]
        left.run(["ping", "-c1", "-W5", str(right.ports[1].v4.ip)])
        left.run(["ping", "-c1", "-W5", str(right.ports[1].v6.ip)])


def test_a_network_of_nobody_is_refused_and_changes_nothing() -> None:
    with Lab() as lab:
        with pytest.raises(ConfigError, match="no host here"):
            lab.join_network("a", "c")
        lab.join_network("a", "b")

        assert [port.network for port in lab["a"].ports] == [0, 1]


def test_a_cable_that_is_pulled_carries_nothing_until_it_is_plugged_in_again() -> None:
    plan = Plan(
        {"left": HostPlan(), "gate": HostPlan(router=True), "right": HostPlan()},
        (NetworkPlan(("left", "gate")), NetworkPlan(("gate", "right"))),
    )
    with Lab(plan) as lab:
        left, right = lab["left"], lab["right"]
        addresses = (str(right.v4.ip), str(right.v6.ip))
        lab.cut("left", "gate")
        assert [left.run(["ping", "-c1", "-W1", each], check=False).code for each in addresses] != [0, 0]

        lab.mend("left", "gate")
        for address in addresses:
            left.run(["ping", "-c1", "-W5", address])


def test_hosts_without_a_cable_of_their_own_cannot_be_cut_apart() -> None:
    with Lab(star(3)) as lab, pytest.raises(NotFound, match="no cable joins h0 and h1 alone"):
        lab.cut("h0", "h1")


def test_hosts_know_each_other_by_name_each_at_an_address_it_reaches() -> None:
    with Lab(RELAY) as lab:
        lab.add_name("relay.example.com", "relay")

        def address(host: str, name: str) -> str:
            return lab[host].run(["getent", "ahostsv4", name]).stdout.split()[0]

        assert [address(host, "relay.example.com") for host in ("left", "right")] == ["198.18.0.1", "198.18.1.1"]
        assert address("right", "left") == "198.18.0.2"
        lab.join_network("left", "right")
        assert address("right", "left") == "198.18.2.1"


def test_a_program_that_runs_learns_of_a_new_name() -> None:
    with Lab() as lab:
        waiting = lab["a"].popen(["sh", "-c", "until getent hosts b.example.com; do sleep 0.05; done"])
        lab.add_name("b.example.com", "b")

        assert waiting.wait() == 0
        assert waiting.text().split()[0] == str(lab["b"].v4.ip)


def test_names_of_a_lab_stay_inside_it() -> None:
    before = Path("/etc/hosts").read_bytes()
    with Lab() as lab:
        lab.add_name("b.example.com", "b")
        lab["a"].run(["getent", "hosts", "b.example.com"])
        assert Path("/etc/hosts").read_bytes() == before
