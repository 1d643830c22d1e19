"""`pulse doctor` on a real mesh: faults are put in one after the other, and each is named, and gone when it is mended.

Of two nodes the CA is the relay that the member was told of.
"""

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from tests.e2e.mesh import PATIENCE, PORT, Node, errors_of
from tests.e2e.test_websocket import without_udp
from tests.namespace import require_root

POLICY = (
    "table inet firewall {\nchain in {\ntype filter hook input priority 0; policy drop;\ntcp dport 22 accept\n}\n}\n"
)


@dataclass(frozen=True, slots=True)
class Site:
    """A CA, and a member that is told of it."""

    ca: Node
    member: Node

    def named(self, *, before: str = "") -> dict[str, dict[str, Any]]:
        """What is found at the member, by check; `before` is typed first, in a shell whose mounts are its own."""
        command = shlex.join(self.member.host.pulse_command("doctor", "--json"))
        done = self.member.host.run(["sh", "-c", f'{before or ":"}; exec "$@" {command}'], check=False)
        answer = json.loads(done.stdout)
        assert done.code == (0 if answer["well"] else 1), done
        return {each["check"]: each for each in answer["findings"] if each["gravity"] != "note"}

    def wait_named(self, *checks: str) -> None:
        """Wait until these, and no others, are found."""
        wait_until(lambda: self.named().keys() == {*checks}, f"only {checks} are named", PATIENCE)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    require_root()
    with Lab() as lab:
        made = Site(Node(lab["a"]), Node(lab["b"]))
        made.ca.start("--ca", "--scribe", "--network", "test")
        made.member.join(made.ca, made.ca.token("--max-uses", "1"))
        (made.member.host.data / "config.toml").write_text(
            f'[node]\naddr = ":{PORT}"\n[tun]\nenabled = true\n[bootstrap]\npeers = ["{made.ca.underlay}"]\n'
        )
        yield made
        assert errors_of([made.ca]) == []


@contextmanager
def written(site: Site, path: str, change: Callable[[bytes], bytes]) -> Iterator[None]:
    place = site.member.host.data / path
    before = place.read_bytes()
    place.write_bytes(change(before))
    try:
        yield
    finally:
        place.write_bytes(before)


@contextmanager
def opened(site: Site) -> Iterator[None]:
    site.member.host.data.chmod(0o755)
    try:
        yield
    finally:
        site.member.host.data.chmod(0o700)


@contextmanager
def done(site: Site, do: str, undo: str) -> Iterator[None]:
    site.member.host.run(["sh", "-c", do])
    try:
        yield
    finally:
        site.member.host.run(["sh", "-c", undo])


def flipped(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


FAULTS: dict[str, tuple[str, Callable[[Site], AbstractContextManager[None]], str]] = {
    "open to others": ("state", opened, "chmod 700"),
    "damaged": ("state", lambda site: written(site, "identity/certificate.pem", flipped), "certificate.pem"),
    "mistyped": ("config", lambda site: written(site, "config.toml", lambda it: it + b"[node2]\n"), "node2"),
    "no resolver": (
        "resolver",
        lambda site: written(site, "config.toml", lambda it: it.replace(b"peers = [", b'peers = ["relay.invalid:1", ')),
        "relay.invalid",
    ),
    "a route": (
        "routes",
        lambda site: done(site, "ip route add 10.100.9.0/24 dev lo", "ip route del 10.100.9.0/24 dev lo"),
        "10.100.9.0/24",
    ),
    "small packets": (
        "mtu",
        lambda site: done(site, f"ip link set {site.member.host.ports[0].interface} mtu 1200",
                          f"ip link set {site.member.host.ports[0].interface} mtu 1500"),
        "1200",
    ),
    "an exit that is gone": (
        "leftovers",
        lambda site: done(site, "nft add table inet pulse", "nft delete table inet pulse"),
        "left its firewall",
    ),
    "nobody knows what was": (
        "leftovers",
        lambda site: done(site, f"umask 077; echo x >{site.member.host.data}/undo", f"rm {site.member.host.data}/undo"),
        "sysctl net.ipv4.ip_forward",
    ),
    "firewall": (
        "firewall",
        lambda site: done(site, f"nft -f - <<'END'\n{POLICY}END", "nft delete table inet firewall"),
        "table inet firewall, chain in",
    ),
}  # fmt: skip
"""Check that finds it, the fault for as long as a block lasts, and what is named: of a node that does not run."""

ALONE = {
    "disk": ("mount --bind {data} {data}; mount -o remount,ro,bind {data}", "Read-only file system"),
    "tun": ("mount -t tmpfs none /dev/net", "No such file or directory"),
    "rights": ("set -- setpriv --bounding-set=-net_admin --inh-caps=-net_admin", "CAP_NET_ADMIN"),
}
"""What is typed before in the very shell that runs the command, whose mounts and rights are its own."""

HOLDER = (
    "import socket, time; it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); it.bind(('', {port})); time.sleep(600)"
)


def test_faults_of_a_node_that_runs_are_named_and_gone_when_mended(site: Site) -> None:
    member = site.member
    member.host.pulse("start")
    member.wait_linked(site.ca)
    site.wait_named()

    os.kill(member.pid, signal.SIGSTOP)
    try:
        found = site.named()
    finally:
        os.kill(member.pid, signal.SIGCONT)
    assert f"process {member.pid}" in found["node"]["what"]

    with without_udp(member):
        site.wait_named("udp", "firewall")

    site.ca.kill()
    site.wait_named("peers", "ca", "scribe")
    assert site.ca.underlay in site.named()["peers"]["what"]

    member.stop()
    newest = max((member.host.data / "events").glob("*[0-9]*"))
    with written(site, f"events/{newest.name}", flipped):
        assert site.named().keys() == {"node", "journal"}
    assert errors_of([member]) == []


def test_faults_of_a_machine_are_named_though_no_node_runs(site: Site) -> None:
    for name, (check, fault, word) in FAULTS.items():
        with fault(site):
            found = site.named()
            assert check in found, f"{name}: {found}"
            assert word in found[check]["what"] + found[check]["fix"], f"{name}: {found}"
    for check, (before, word) in ALONE.items():
        found = site.named(before=before.format(data=site.member.host.data))
        assert word in found[check]["what"], f"{check}: {found}"
    assert site.named().keys() == {"node"}, "all is mended, and no node runs"


def test_a_port_that_another_program_has_is_named(site: Site) -> None:
    held = site.member.host.popen([sys.executable, "-c", HOLDER.format(port=PORT)])
    wait_until(lambda: "port" in site.named(), "the port is seen to be taken", PATIENCE)
    held.stop()
    assert "port" not in site.named()
