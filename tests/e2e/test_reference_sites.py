"""The reference's "Multi-site mesh", and over it "SSH through the mesh" in its three ways, as people type them.

Invariant: what is typed is what the reference has; only the token, addresses and names are put in.
"""

import re
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import pytest

from pulse.lab.host import Host, Running, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.machine import Machine
from tests.e2e.mesh import PATIENCE, Node
from tests.e2e.sshd import Sshd, sshd
from tests.e2e.typed import serves, types
from tests.namespace import require_root

TOKEN = "5e0c9b1f27d84a36" * 4
CLOUD = f"pulse --ca --scribe --addr relay.example.com:443 --listen 0.0.0.0:443 --network corp --token {TOKEN}"
CABLES = (("cloud", "office-a"), ("cloud", "office-b"), ("office-a", "desk"), ("office-b", "printer"))
APART = (
    "pulse tag office-a site-a",
    "pulse tag office-b site-b",
    "pulse acl add --from tag:site-a --to tag:site-a",
    "pulse acl add --from tag:site-b --to tag:site-b",
)
PRINTERS, PRINTER, GATEWAY, PRINTER_PORT = "192.168.7.0/24", "192.168.7.3", "192.168.7.1", 9100
PRINT = f"curl -s -m 10 --http0.9 telnet://{PRINTER}:{PRINTER_PORT} </dev/null"
PRINTING = f"""
import socket
door = socket.create_server(("", {PRINTER_PORT}))
while True:
    sock, (host, _) = door.accept()
    sock.sendall(f"ready, {{host}}\\n".encode())
    sock.close()
"""
OFFICE = f"pulse --tun --dns --socks --network corp --token {TOKEN} relay.example.com:443"


@dataclass(frozen=True, slots=True)
class Sites:
    """A cloud relay, and two offices that reach nothing but it; a has systemd-resolved, b an sshd.

    Beside a is a desk without pulse, beside b a printer.
    """

    cloud: Node
    a: Node
    b: Node
    desk: Host
    running: list[Running]
    there: Sshd


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    """All of it, typed."""
    require_root()
    with Lab(
        joined(("cloud", "office-a"), ("cloud", "office-b"), ("office-a", "desk"), ("office-b", "printer"))
    ) as lab:
        lab.add_name("relay.example.com", "cloud")
        office = Machine.on(lab["office-a"])
        office.write("/etc/hosts", f"127.0.0.1 localhost\n{lab['cloud'].v4.ip} relay.example.com\n")
        office.start_resolved()
        for name, address in (("office-b", GATEWAY), ("printer", PRINTER)):
            lab[name].run(["ip", "address", "add", f"{address}/24", "dev", lab[name].ports[-1].interface])
        lab["desk"].run(["ip", "route", "add", "default", "via", str(lab["office-a"].ports[-1].v4.ip)])
        lab["printer"].popen([sys.executable, "-c", PRINTING])
        cloud, a, b = Node(lab["cloud"]), Node(office), Node(lab["office-b"])
        running = [serves(node, line) for node, line in ((cloud, CLOUD), (a, OFFICE), (b, OFFICE))]
        a.wait_path(b)
        with sshd(b.host) as there:
            # In the mounts of a its own directory is seen, and no other host's.
            shutil.copy(there.key, office.directory / "key")
            yield Sites(cloud, a, b, lab["desk"], running, replace(there, key=office.directory / "key"))
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


def test_members_reach_what_is_behind_the_other_office_and_machines_that_are_none_do_not(sites: Sites) -> None:
    assert sites.running[-1].stop(signal.SIGINT) == 0
    sites.running.append(serves(sites.b, f"{OFFICE} --exit --exit-cidrs {PRINTERS}"))
    sites.a.wait_path(sites.b)
    assert types(sites.a, PRINT).code != 0, "nobody approved it"

    approve = f"pulse route approve {PRINTERS}"
    wait_until(lambda: types(sites.cloud, approve).code == 0, "the offer is heard, and approved", PATIENCE)
    wait_until(lambda: types(sites.a, PRINT).stdout == f"ready, {GATEWAY}\n", "a reaches the printer", PATIENCE)

    sites.a.host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    for address in (PRINTER, sites.b.v4):
        ping = ["ping", "-c", "1", "-W", "0.1", address]
        sites.b.dropped("spoofed_source", partial(sites.desk.run, ping, check=False))


def test_sites_kept_apart_reach_what_is_behind_their_own_members_alone(sites: Sites) -> None:
    for line in APART:
        done = types(sites.cloud, line)
        assert done.code == 0, done
    wait_until(lambda: types(sites.a, PRINT).code != 0, "the printer is b's", PATIENCE)
    assert not sites.a.reaches(sites.b)

    assert types(sites.cloud, "pulse tag office-a site-b").code == 0
    wait_until(lambda: types(sites.a, PRINT).code == 0, "a is one of site b, too", PATIENCE)
