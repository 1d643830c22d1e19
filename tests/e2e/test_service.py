"""A node that is run as a service: what its manager hears, reloads, and what an operator may do to it from afar."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pulse.calls.events import EventCalls
from pulse.client import connect
from pulse.lab.host import Running, wait_until
from pulse.lab.lab import Lab
from pulse.schemas.events import EventsQuery
from tests.e2e.mesh import PATIENCE, PORT, Node
from tests.namespace import require_root

SETTINGS = """
[node]
addr = ":{port}"
log_level = "{level}"
[bootstrap]
peers = ["{peer}"]
"""
OPT_IN = '[remote]\nrestart = true\nconfig = ["node.log_level"]\n'


@dataclass(frozen=True, slots=True)
class Site:
    """The CA, which may give orders as an operator does, and a member that a service manager started."""

    ca: Node
    member: Node
    service: Running
    manager: socket.socket

    def write(self, level: str = "info", more: str = "") -> None:
        text = SETTINGS.format(port=PORT, level=level, peer=self.ca.underlay)
        (self.member.host.data / "config.toml").write_text(text + more)

    def heard(self, word: str) -> list[str]:
        """All that is said up to that word."""
        said: list[str] = []
        while word not in said:
            said += self.manager.recv(4096).decode().splitlines()
        return said

    def asked(self, node: Node) -> list[tuple[str, str]]:
        """Orders of which the node has an event, and what came of each."""
        with connect(node.host.data) as client:
            told = EventCalls(client).events(EventsQuery(type="remote")).events
        return [
            (str(each.fields.get("asked") or each.fields.get("wanted")), str(each.fields["outcome"])) for each in told
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require_root()
    place = tmp_path_factory.mktemp("manager") / "notify"
    with Lab() as lab, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place))
        manager.settimeout(PATIENCE)
        ca, member = Node(lab["a"]), Node(lab["b"])
        ca.start("--ca", "--scribe", "--network", "test")
        member.join(ca, ca.token("--max-uses", "1"))
        variables = {"NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "500000"}
        data = Path(member.host.data)
        (data / "config.toml").write_text(SETTINGS.format(port=PORT, level="info", peer=ca.underlay))
        command = [sys.executable, "-m", "pulse", "--data-dir", str(data)]
        made = Site(ca, member, member.host.popen(command, environment=variables), manager)
        yield made


def test_the_service_manager_hears_each_state_in_order(site: Site) -> None:
    site.heard("READY=1")
    site.heard("WATCHDOG=1")

    os.kill(site.member.pid, signal.SIGSTOP)
    try:
        site.manager.settimeout(2)
        with pytest.raises(TimeoutError):
            site.heard("NEVER=1")
    finally:
        site.manager.settimeout(PATIENCE)
        os.kill(site.member.pid, signal.SIGCONT)
    site.heard("WATCHDOG=1")

    site.write("debug")
    os.kill(site.member.pid, signal.SIGHUP)
    said = site.heard("RELOADING=1") + site.heard("READY=1")
    assert said.index("RELOADING=1") < said.index("READY=1")
    wait_until(lambda: "settings reloaded changed=node.log_level" in site.service.text(), "the level changed", PATIENCE)

    site.write("loud")
    os.kill(site.member.pid, signal.SIGHUP)
    wait_until(lambda: "settings not reloaded" in site.service.text(), "the mistake is told", PATIENCE)
    assert "config.toml:4: node.log_level" in site.service.text()


def test_an_operator_restarts_and_changes_what_the_target_allows(site: Site) -> None:
    name = site.member.host.name
    site.write()
    site.member.host.pulse("reload")
    site.member.wait_linked(site.ca)
    site.ca.wait_linked(site.member)

    refused = site.ca.tries("restart", name)
    assert (refused.code, "[remote] restart = true" in refused.stderr) == (3, True), refused
    assert "is no operator" in site.member.tries("restart", site.ca.host.name).stderr

    site.write(more=OPT_IN)
    site.member.host.pulse("reload")
    assert site.ca.host.pulse("remote-config", "--node", name, "node.log_level=debug").stdout == (
        "in force now: node.log_level\n"
    )
    assert "lets nobody change" in site.ca.tries("remote-config", "--node", name, "tun.queues=2").stderr

    pid, before = site.member.pid, site.member.status().uptime
    assert site.ca.host.pulse("restart", name).stdout == f"{name} restarts: pulse ping {name}\n"
    said = list[str]()
    while not any(each.startswith("STATUS=up: ") for each in said):
        said += site.heard("READY=1")
    assert "STOPPING=1" not in said, "its manager would end it"
    wait_until(lambda: site.member.status().uptime < before, "it runs anew", PATIENCE)
    assert site.member.pid == pid, "to its manager it is one service"
    assert site.asked(site.member)[1:] == [("node.log_level=debug", "done"), ("restart", "done")]
    done = [outcome for _, outcome in site.asked(site.ca)]
    assert [outcome == "done" for outcome in done] == [False, True, False, True]
    site.member.wait_linked(site.ca)

    site.member.stop()
    site.heard("STOPPING=1")
    assert site.service.wait() == 0
