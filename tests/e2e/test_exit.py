"""Exits with real kernels: who gets out, as whom, where to, and that nothing ever goes past the tunnel.

The tests of this module follow one another in one lab. The public host and the host behind the exits are no members.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from pulse.calls.events import EventCalls
from pulse.calls.routes import RouteCalls
from pulse.client import connect
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from pulse.schemas.events import EventsQuery
from pulse.schemas.routes import RouteRef, RouteRequest
from tests.e2e.mesh import PATIENCE, Mesh, Node, errors_of
from tests.e2e.mesh import PORT as MESH_PORT
from tests.namespace import require_root

PLAN = joined(("relay", "client"), ("relay", "exit1", "exit2", "public"), ("exit1", "exit2", "inside"))
INTERNET, INTERNET_V6, LAN, MAPPED = "0.0.0.0/0", "::/0", "192.168.77.0/24", "10.77.7.0/24"
LAN_V6 = "fd18:0:0:2::/64"
"""The plan's own range for the network behind the exits."""

METADATA = "169.254.169.254"
AROUND, NEARBY = "169.254.0.0/15", "169.255.0.9"
"""A range that holds addresses nobody may reach, and a host there that all may."""
AROUND_MAPPED, METADATA_MAPPED, NEARBY_MAPPED = "10.254.0.0/15", "10.254.169.254", "10.255.0.9"
PUBLIC, PUBLIC_V6 = "203.0.113.9", "2001:db8:2::9"
"""Where the public host is beyond the network in which the exits are themselves, which is closed."""
PORT, PARROT_PORT = 7, 8

ECHO = f"""
import socket
door = socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    sock, peer = door.accept()
    sock.sendall(peer[0].removeprefix("::ffff:").encode())
    sock.close()
"""
"""Tells each who comes at which address it is seen."""

ASK = f"""
import socket, sys
sock = socket.create_connection((sys.argv[1], {PORT}), timeout=1.5)
print(sock.recv(64).decode())
"""

PARROT = f"""
import socket, threading
door = socket.create_server(("", {PARROT_PORT}))
def answer(sock):
    while heard := sock.recv(64):
        sock.sendall(heard)
while True:
    threading.Thread(target=answer, args=door.accept()[:1], daemon=True).start()
"""
"""Says what it hears, for as long as somebody speaks."""

SPEAK = f"""
import socket, sys, time
sock = socket.create_connection((sys.argv[1], {PARROT_PORT}), timeout=1.5)
while True:
    sock.sendall(b"heard\\n")
    print(sock.recv(64).decode(), end="", flush=True)
    time.sleep(0.05)
"""


@dataclass(frozen=True)
class World:
    """A client whose only way is a cable to the relay, two exits on the Internet, and two hosts that are no members."""

    lab: Lab
    mesh: Mesh

    def __getitem__(self, name: str) -> Node:
        return self.mesh[name]

    def seen_at(self, address: str) -> str:
        """At which address a host sees the client; empty if it does not."""
        asked = self.lab["client"].run([sys.executable, "-c", ASK, address], check=False)
        return asked.stdout.strip() if asked.code == 0 else ""

    def by_proxy(self, host: str) -> str:
        """At which address a host sees a program that asks the client's SOCKS proxy; empty if it does not."""
        command = [
            "curl",
            "-s",
            "-m",
            "20",
            "--http0.9",
            "--socks5-hostname",
            "127.0.0.1:1080",
            f"telnet://{host}:{PORT}",
        ]
        return self.lab["client"].run(command, check=False).stdout.strip()

    def exits_by(self, name: str) -> bool:
        """True if the public host sees the client at that exit's address."""
        return self.seen_at(PUBLIC) == str(self.lab[name].v4.ip)

    def journal_ends(self, state: str, name: str = "") -> bool:
        """True if that is what the client's journal told last of the way to the Internet."""
        with connect(self["client"].host.data) as client:
            told = EventCalls(client).events(EventsQuery(type="exit")).events
        newest = [(each.fields["state"], each.name) for each in told if each.fields["range"] == INTERNET][-1:]
        return newest == [(state, name)]

    def exits_by_v6(self, name: str) -> bool:
        """The same over IPv6."""
        return self.seen_at(PUBLIC_V6) == str(self.lab[name].v6.ip)

    def leaked(self) -> int:
        """Packets for the public host that came out of the client's cable, outside the tunnel."""
        listed = self.lab["relay"].run(["nft", "-y", "list", "counter", "inet", "watch", "leaks"]).stdout
        return int(listed.split("packets")[1].split()[0])

    def shouts(self) -> None:
        """The client sends to the public host, over both families, and waits for nothing."""
        for address in (PUBLIC, PUBLIC_V6):
            self.lab["client"].run(["ping", "-q", "-c", "3", "-i", "0.02", "-W", "0.1", address], check=False)

    def states(self, name: str) -> dict[tuple[str, str], str]:
        """By range and exit, as that node sees it."""
        with connect(self[name].host.data) as client:
            return {(each.cidr, each.name): each.state for each in RouteCalls(client).all()}

    def approve(self, cidr: str, node: str = "") -> None:
        with connect(self["relay"].host.data) as client:
            RouteCalls(client).approve(RouteRef(cidr, node))


def ip(host: Host, *arguments: str) -> None:
    host.run(["ip", *arguments])


def furnish(lab: Lab) -> None:
    """Addresses and routes beyond the plan: a private network behind the exits, and a default route past the tunnel."""
    for place, name in enumerate(("exit1", "exit2", "inside"), 1):
        port = lab[name].ports[-1].interface
        ip(lab[name], "address", "add", f"192.168.77.{place}/24", "dev", port)
    relay = lab["relay"].ports[0]
    ip(lab["client"], "route", "add", "default", "via", str(relay.v4.ip))
    ip(lab["client"], "-6", "route", "add", "default", "via", str(relay.v6.ip))
    for name in ("exit1", "exit2"):
        ip(lab[name], "route", "add", "default", "via", str(lab["public"].v4.ip))
        ip(lab[name], "-6", "route", "add", "default", "via", str(lab["public"].v6.ip))
    for address in (f"{METADATA}/32", f"{NEARBY}/32", f"{PUBLIC}/32", f"{PUBLIC_V6}/128"):
        ip(lab["public"], "address", "add", address, "dev", "lo")
    wanted = f"ip daddr {PUBLIC} counter name leaks; ip6 daddr {PUBLIC_V6} counter name leaks;"
    chain = f"chain in {{ type filter hook prerouting priority -300; {wanted} }}"
    rules = f"table inet watch {{ counter leaks {{}}\n{chain}\n}}"
    lab["relay"].run(["nft", "-f", "-"], stdin=rules)
    # Ways of two hosts that are no members to each other through an exit's kernel.
    ip(lab["inside"], "route", "add", f"{PUBLIC}/32", "via", "192.168.77.1")
    ip(lab["public"], "route", "add", "192.168.77.3/32", "via", str(lab["exit1"].v4.ip))
    for name in ("public", "inside"):
        lab[name].popen([sys.executable, "-c", ECHO])
    lab["inside"].popen([sys.executable, "-c", PARROT])


def starts_watched(node: Node, *flags: str) -> None:
    """Start the daemon with one capability, under the eyes of strace, which notes every program that is run."""
    command = node.host.pulse_command("--tun", "--addr", f":{MESH_PORT}", "--listen", f":{MESH_PORT}", *flags)
    rights = ["setpriv", "--bounding-set", "-all,+net_admin", "--inh-caps", "-all,+net_admin"]
    watch = ["strace", "-f", "--seccomp-bpf", "-o", str(trace_of(node)), "-e", "trace=execve,execveat"]
    node.host.popen([*watch, *rights, *command])


def forwards(node: Node) -> bool:
    """True if the kernel there forwards anything."""
    settings = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
    return "1" in node.host.run(["sysctl", "-n", *settings]).stdout


def trace_of(node: Node) -> Path:
    return node.host.directory / "strace"


def programs(node: Node) -> list[str]:
    """Names of the programs that were run."""
    lines = trace_of(node).read_text().splitlines()
    return [line.split('"')[1].rpartition("/")[2] for line in lines if "execve" in line]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    require_root()
    with Lab(PLAN) as lab:
        furnish(lab)
        nodes = {name: Node(lab[name]) for name in ("relay", "client", "exit1", "exit2")}
        relay = nodes["relay"]
        relay.start("--ca", "--scribe", "--network", "test", "--no-use-exits")
        for name in ("client", "exit1", "exit2"):
            nodes[name].join(relay, relay.token("--max-uses", "1"))
        nodes["client"].start("--socks")
        nodes["exit1"].start("--exit", "--exit-cidrs", f"{INTERNET},{INTERNET_V6},{LAN},{LAN_V6}")
        starts_watched(nodes["exit2"], "--exit", "--exit-cidrs", f"{INTERNET},{INTERNET_V6}")
        mesh = Mesh(lab, nodes)
        mesh.wait_whole()
        yield World(lab, mesh)
        assert errors_of(nodes.values()) == []


def test_nobody_gets_out_before_it_is_approved(world: World) -> None:
    offers = {(LAN, "exit1"), (LAN_V6, "exit1")}
    offers |= {(cidr, name) for cidr in (INTERNET, INTERNET_V6) for name in ("exit1", "exit2")}
    wait_until(lambda: world.states("client").keys() == offers, "the client hears the offers", PATIENCE)

    assert {*world.states("client").values()} == {"offered"}
    world.shouts()
    assert world.leaked() > 0
    assert world.seen_at(PUBLIC) == ""
    assert world["exit1"].host.run(["nft", "list", "tables"]).stdout == ""


def test_once_approved_the_public_host_sees_the_exit_and_the_lan_stays_closed(world: World) -> None:
    world.approve(INTERNET, "exit1")
    wait_until(lambda: world.exits_by("exit1"), "the client gets out by exit1", PATIENCE)

    assert world.states("client")[(INTERNET, "exit1")] == "in use"
    assert world.seen_at("192.168.77.3") == ""
    assert world.seen_at("192.168.77.1") == ""
    assert world.seen_at(METADATA) == ""
    assert world.seen_at(str(world.lab["inside"].v6.ip)) == ""
    assert world.seen_at(str(world.lab["public"].v4.ip)) == "", "the exit is in that network itself"
    world.approve(LAN)
    world.approve(LAN_V6)
    wait_until(lambda: world.seen_at("192.168.77.3") == "192.168.77.1", "the LAN is reached", PATIENCE)
    assert world.seen_at(METADATA) == ""
    there, here = (str(world.lab[name].ports[-1].v6.ip) for name in ("inside", "exit1"))
    wait_until(lambda: world.seen_at(there) == here, "the LAN is reached over IPv6", PATIENCE)


def test_an_exit_forwards_nothing_for_those_who_are_no_members(world: World) -> None:
    exit1, strangers = world.lab["exit1"], ["ping", "-c", "1", "-W", "1", "-I", "192.168.77.3", PUBLIC]
    assert forwards(world["exit1"])
    assert world.lab["inside"].run(strangers, check=False).code != 0

    exit1.run(["nft", "add", "table", "ip", "router"])
    exit1.run(["nft", "add", "chain", "ip", "router", "out", "{ type nat hook postrouting priority 100; }"])
    exit1.run(["nft", "add", "rule", "ip", "router", "out", "ip", "saddr", "172.17.0.0/16", "masquerade"])
    try:
        passes = partial(world.lab["inside"].run, strangers, check=False)
        wait_until(lambda: passes().code == 0, "somebody made a router of it, as Docker does", PATIENCE)
    finally:
        exit1.run(["nft", "delete", "table", "ip", "router"])


def test_programs_get_out_by_the_proxy_too_and_no_further_than_packets(world: World) -> None:
    """As the reference has it: `curl --socks5`; the exit dials, and judges each address as it judges packets."""
    assert world.by_proxy(PUBLIC).endswith(str(world.lab["exit1"].v4.ip))
    assert world.by_proxy("192.168.77.3") == "192.168.77.1"
    assert world.by_proxy("localhost") == world.by_proxy(METADATA) == world.by_proxy("192.168.78.1") == ""


def test_from_then_on_nothing_goes_past_and_ipv6_is_blocked(world: World) -> None:
    before = world.leaked()
    world.shouts()

    assert world.lab["client"].run(["ping", "-c", "1", "-W", "1", PUBLIC_V6], check=False).code != 0
    assert world.leaked() == before


def test_ipv6_is_carried_once_it_is_approved_too(world: World) -> None:
    before = world.leaked()
    world.approve(INTERNET_V6, "exit1")
    wait_until(lambda: world.exits_by_v6("exit1"), "the client gets out over IPv6", PATIENCE)

    assert world.by_proxy(f"[{PUBLIC_V6}]") == str(world.lab["exit1"].v6.ip)
    assert world.leaked() == before


def test_the_second_exit_takes_over_and_without_any_nothing_goes_past(world: World) -> None:
    for cidr in (INTERNET, INTERNET_V6):
        world.approve(cidr, "exit2")
    wait_until(lambda: world.states("client")[(INTERNET, "exit2")] == "ready", "exit2 stands by", PATIENCE)
    assert world.exits_by("exit1")
    before = world.leaked()

    world["exit1"].kill()
    wait_until(lambda: world.exits_by("exit2"), "the client gets out by exit2", PATIENCE)
    wait_until(lambda: world.exits_by_v6("exit2"), "and over IPv6", PATIENCE)
    wait_until(lambda: world.journal_ends("in use", "exit2"), "the journal tells of exit2", PATIENCE)
    world["exit2"].kill()
    assert programs(world["exit2"]) == ["setpriv", Path(sys.executable).name]
    wait_until(lambda: world.states("client")[(INTERNET, "exit2")] == "failed", "exit2 has failed", PATIENCE)
    world.shouts()

    assert world.seen_at(PUBLIC) == world.seen_at(PUBLIC_V6) == ""
    assert world.leaked() == before
    wait_until(lambda: world.journal_ends("refused"), "the journal tells that no exit is left", PATIENCE)
    sentence = world["client"].status().sentence
    assert INTERNET in sentence
    assert "closed: no exit leads there now" in sentence


def test_what_a_killed_exit_left_is_gone_once_it_starts_again(world: World) -> None:
    exits = world["exit1"], world["exit2"]
    for each in exits:
        assert "pulse" in each.host.run(["nft", "list", "tables"]).stdout
        assert forwards(each)
    with connect(world["relay"].host.data) as client:
        RouteCalls(client).remove(RouteRef(LAN))
    exits[0].start("--exit", "--exit-cidrs", f"{LAN},{AROUND}")
    exits[1].start("--exit", "--exit-cidrs", f"{INTERNET},{INTERNET_V6}")

    assert exits[0].host.run(["nft", "list", "tables"]).stdout == ""
    assert not forwards(exits[0])
    wait_until(lambda: world.exits_by("exit2"), "the client gets out by exit2", PATIENCE)


def test_a_range_is_reached_under_another_one_and_not_under_its_own(world: World) -> None:
    with connect(world["relay"].host.data) as client:
        RouteCalls(client).add(RouteRequest("exit1", LAN, MAPPED))

    wait_until(lambda: world.seen_at("10.77.7.3") == "192.168.77.1", "the LAN is reached as another", PATIENCE)
    assert world.seen_at("192.168.77.3") == ""


def test_what_is_never_reached_is_not_under_another_address_either(world: World) -> None:
    with connect(world["relay"].host.data) as client:
        RouteCalls(client).add(RouteRequest("exit1", AROUND, AROUND_MAPPED))

    wait_until(lambda: world.seen_at(NEARBY_MAPPED), "the range is reached", PATIENCE)
    assert world.by_proxy(NEARBY_MAPPED) == world.seen_at(NEARBY_MAPPED) == str(world.lab["exit1"].v4.ip)
    assert world.seen_at(METADATA_MAPPED) == world.by_proxy(METADATA_MAPPED) == ""


def test_a_rule_for_a_range_opens_that_range_and_nothing_else_behind_nodes(world: World) -> None:
    relay = world["relay"].host
    relay.pulse("acl", "add", "--from", "*", "--to", f"cidr:{MAPPED}", "--ports", str(PORT))

    wait_until(lambda: not world.exits_by("exit2"), "the Internet is closed", PATIENCE)
    assert world.seen_at("10.77.7.3") == "192.168.77.1"
    assert world["client"].host.run(["ping", "-c", "1", "-W", "1", "10.77.7.3"], check=False).code != 0
    relay.pulse("acl", "remove", "1")
    wait_until(lambda: world.exits_by("exit2"), "the Internet is open again", PATIENCE)


def test_what_goes_through_a_range_ends_when_its_approval_is_withdrawn(world: World) -> None:
    client = world["client"].host
    talk = (
        f"while :; do echo heard; sleep 0.05; done | curl -sN --socks5 127.0.0.1:1080 telnet://10.77.7.3:{PARROT_PORT}"
    )
    speaking = [client.popen(each) for each in ([sys.executable, "-c", SPEAK, "10.77.7.3"], ["sh", "-c", talk])]
    wait_until(lambda: all("heard" in each.text() for each in speaking), "both are answered", PATIENCE)

    world["relay"].host.pulse("route", "remove", MAPPED)

    for each in speaking:
        each.wait(PATIENCE)
    assert world.seen_at("10.77.7.3") == world.by_proxy("10.77.7.3") == ""
    assert world.exits_by("exit2")


def test_a_stopped_exit_leaves_nothing(world: World) -> None:
    world["exit1"].stop()

    host = world["exit1"].host
    assert host.run(["nft", "list", "tables"]).stdout == ""
    assert not forwards(world["exit1"])


def test_a_client_that_is_killed_or_restarted_lets_nothing_past_until_it_is_stopped(
    world: World, tmp_path: Path
) -> None:
    client, before = world["client"], world.leaked()
    client.kill()
    world.shouts()
    client.start()
    world.shouts()
    wait_until(lambda: world.exits_by("exit2"), "the client gets out again", PATIENCE)

    speaker = client.host.popen(["ping", "-q", "-i", "0.01", PUBLIC])
    client.host.pulse("restart")
    wait_until(lambda: world.exits_by("exit2"), "and once it was restarted", PATIENCE)
    speaker.stop()
    assert world.leaked() == before

    other = replace(client, host=replace(client.host, directory=tmp_path))
    other.host.pulse("start", "--ca", "--network", "other", "--addr", ":9443", "--listen", ":9443")
    other.stop()
    world.shouts()
    assert world.leaked() == before

    client.kill()
    client.stop()
    rules = client.host.run(["ip", "rule"]).stdout + client.host.run(["ip", "-6", "rule"]).stdout
    table = client.host.run(["ip", "route", "show", "table", "28789"], check=False).stdout
    assert ("28789" in rules, table) == (False, "")
