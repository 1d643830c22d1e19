"""The reference's "Multi-site mesh", and over it "SSH through the mesh" in its three ways, as people type them.

Invariant: what is typed is what the reference has; only the token, addresses and names are put in.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from pulse.lab.host import Running, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.machine import Machine
from tests.e2e.mesh import PATIENCE, Node
from tests.e2e.sshd import Sshd, sshd
from tests.e2e.typed import serves, types
from tests.namespace import require_root

TOKEN = "5e0c9b1f27d84a36" * 4
CLOUD = f"pulse --ca --scribe --addr relay.example.com:443 --listen 0.0.0.0:443 --network corp --token {TOKEN}"
OFFICE = f"pulse --tun --dns --socks --network corp --token {TOKEN} relay.example.com:443"


@dataclass(frozen=True, slots=True)
class Sites:
    """A cloud relay, and two offices that reach nothing but it; a has systemd-resolved, b an sshd."""

    cloud: Node
    a: Node
    b: Node
    running: tuple[Running, ...]
    there: Sshd


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    """All of it, typed."""
    require_root()
    with Lab(joined(("cloud", "office-a"), ("cloud", "office-b"))) as lab:
        lab.add_name("relay.example.com", "cloud")
        office = Machine.on(lab["office-a"])
        office.write("/etc/hosts", f"127.0.0.1 localhost\n{lab['cloud'].v4.ip} relay.example.com\n")
        office.start_resolved()
        cloud, a, b = Node(lab["cloud"]), Node(office), Node(lab["office-b"])
        running = tuple(serves(node, line) for node, line in ((cloud, CLOUD), (a, OFFICE), (b, OFFICE)))
        a.wait_path(b)
        with sshd(b.host) as there:
            # In the mounts of a its own directory is seen, and no other host's.
            shutil.copy(there.key, office.directory / "key")
            yield Sites(cloud, a, b, running, replace(there, key=office.directory / "key"))
        assert [line for each in running for line in each.text().splitlines() if " ERROR " in line] == []


def test_offices_ping_each_other_through_the_relay(sites: Sites) -> None:
    sites.a.wait_relayed(sites.b, sites.cloud)
    sites.b.wait_path(sites.a)

    assert sites.a.reaches(sites.b)
    assert sites.b.reaches(sites.a)
    assert re.search(r"office-b +\S+ +quic +cloud", types(sites.a, "pulse status").stdout)


def test_ssh_by_mesh_address(sites: Sites) -> None:
    assert sites.a.host.run(sites.there.command(f"root@{sites.b.v4}", "hostname")).stdout == "office-b\n"


def test_ssh_by_name_once_the_machine_asks_pulse_for_names(sites: Sites) -> None:
    typed = sites.there.command("root@office-b.pulse", "hostname")
    assert sites.a.host.run(typed, check=False).code != 0, "nobody was asked to use pulse's names"

    types(sites.a, "pulse setup dns")
    wait_until(lambda: sites.a.host.run(typed, check=False).stdout == "office-b\n", "ssh gets in by name", PATIENCE)


def test_ssh_by_proxy_command_needs_no_tun(sites: Sites) -> None:
    proxy = f"pulse connect --node {sites.b.status().node.id} --dest localhost:22"
    assert sites.a.host.run(sites.there.command("root@relay", "hostname", proxy=proxy)).stdout == "office-b\n"


def test_a_service_of_the_other_office_is_reached_through_the_proxy(sites: Sites) -> None:
    """`postgres.vm-01.pulse:5432` as if it were local: here the banner of sshd, under a name below the node's own."""
    asked = "curl -s -m 5 --http0.9 --socks5-hostname 127.0.0.1:1080 telnet://ssh.office-b.pulse:22 </dev/null"
    assert types(sites.a, asked).stdout.startswith("SSH-2.0-")


def test_what_is_mistyped_says_what_to_do(sites: Sites) -> None:
    for line, said in (
        ("pulse connect --node office-c --dest localhost:22", "Did you mean"),
        ("pulse connect --node office-b --dest localhost", "host:port"),
    ):
        tried = types(sites.a, line)
        assert (tried.code != 0, said in tried.stderr) == (True, True), tried
