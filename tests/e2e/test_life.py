"""A node's life: it comes back from whatever happens to it, and leaves nothing behind when it goes.

Invariant: tests that harm a node have a pair of their own.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.schemas.journal import JournalEntry
from tests.e2e.mesh import PATIENCE, PORT, Node, Pair, bring_up, is_alive
from tests.namespace import ip_json

TABLES = (("route", "show", "table", "all"), ("-6", "route", "show", "table", "all"), ("rule",), ("-6", "rule"))
JOINS = 8


def wait_linked_again(pair: Pair) -> None:
    """Wait until both sides have their link and packets pass both ways.

    A link seen may still be the one to the process that is gone, so the first packets may be lost with it.
    """
    pair.member.wait_linked(pair.ca)
    pair.ca.wait_linked(pair.member)
    pair.member.wait_reaches(pair.ca)
    pair.ca.wait_reaches(pair.member)


def has_tun(node: Node) -> bool:
    """True while there is a pulse0 on the node's host."""
    return "pulse0" in devices(node.host)


def devices(host: Host) -> list[str]:
    """Names of the host's interfaces."""
    return [link["ifname"] for link in ip_json(host.namespace, "link")]


def network_of(host: Host) -> list[object]:
    """Interfaces, routes and rules of the host."""
    return [devices(host), *(ip_json(host.namespace, *table) for table in TABLES)]


def is_settled(host: Host) -> bool:
    """True once the kernel has given its interface all the routes it gives by itself, the last of them for IPv6."""
    routes = ip_json(host.namespace, "-6", "route", "show", "table", "all", "dev", host.ports[0].interface)
    return {"fe80::/64", "ff00::/8"} <= {route["dst"] for route in routes}


def test_a_member_that_was_killed_is_linked_again_once_started(fresh_pair: Pair) -> None:
    fresh_pair.member.kill()
    wait_until(lambda: not has_tun(fresh_pair.member), "the device goes with the process", PATIENCE)
    fresh_pair.member.start()

    wait_linked_again(fresh_pair)


def test_a_ca_that_was_killed_is_linked_again_once_started(fresh_pair: Pair) -> None:
    fresh_pair.ca.kill()
    fresh_pair.ca.start()

    wait_linked_again(fresh_pair)


def test_both_killed_at_once_find_each_other_again(fresh_pair: Pair) -> None:
    for node in (fresh_pair.ca, fresh_pair.member):
        node.kill()
    for node in (fresh_pair.member, fresh_pair.ca):
        node.start()

    wait_linked_again(fresh_pair)


def test_a_stop_leaves_no_device_route_rule_socket_or_process(lab: Lab) -> None:
    wait_until(lambda: all(map(is_settled, lab.hosts.values())), "the kernel has set up the cable", PATIENCE)
    before = {name: network_of(host) for name, host in lab.hosts.items()}
    pair = bring_up(lab)
    nodes = (pair.member, pair.ca)
    daemons = [node.pid for node in nodes]
    assert all(network_of(node.host) != before[node.host.name] for node in nodes)

    for node in nodes:
        node.stop()

    assert {node.host.name: network_of(node.host) for node in nodes} == before
    assert [pid for pid in daemons if is_alive(pid)] == []
    assert [path for node in nodes for path in node.host.data.rglob("*") if path.is_socket()] == []
    assert pair.errors == []


def test_all_a_node_keeps_is_closed_to_others(fresh_pair: Pair) -> None:
    nodes = (fresh_pair.ca, fresh_pair.member)

    assert [too_open(node) for node in nodes] == [[], []]
    for node in nodes:
        node.stop()
    assert [too_open(node) for node in nodes] == [[], []]


def too_open(node: Node) -> list[str]:
    """What of the data directory has another mode than 0600, or 0700 for directories."""
    paths = [node.host.data, *node.host.data.rglob("*")]
    return [str(path) for path in paths if path.stat().st_mode & 0o7777 != (0o700 if path.is_dir() else 0o600)]


@pytest.mark.parametrize("way", ["flag", "environment"])
def test_a_running_daemon_shows_and_keeps_no_token(lab: Lab, way: str) -> None:
    ca, member = Node(lab["a"]), Node(lab["b"])
    ca.start("--ca")
    token = ca.token()
    command = member.host.pulse_command("start", "--listen", f":{PORT}", "--join", ca.underlay)

    if way == "flag":
        member.host.run([*command, "--token", token])
    else:
        member.host.run(command, environment={"PULSE_TOKEN": token})

    member.wait_linked(ca)
    process = Path("/proc", str(member.pid))
    kept = [path for path in member.host.data.rglob("*") if path.is_file()]
    secret = token.partition(".")[0].encode()
    assert [path for path in (process / "cmdline", process / "environ", *kept) if secret in path.read_bytes()] == []


def test_a_device_that_somebody_deleted_comes_back(fresh_pair: Pair) -> None:
    fresh_pair.member.host.run(["ip", "link", "del", "pulse0"])
    wait_until(lambda: "tun gone" in fresh_pair.member.log, "the loss is noted", PATIENCE)
    wait_until(lambda: has_tun(fresh_pair.member), "the device is there again", PATIENCE)
    wait_until(lambda: fresh_pair.member.status().well, "all is well again", PATIENCE)

    wait_linked_again(fresh_pair)


@pytest.mark.parametrize("moment", ["asked", "granted"])
def test_a_ca_killed_amid_joins_gives_one_certificate_for_a_single_use_token(
    fresh_pair: Pair, tmp_path: Path, moment: str
) -> None:
    ca = fresh_pair.ca
    token = ca.token("--max-uses", "1")
    others = [beside(fresh_pair.member, tmp_path / str(number)) for number in range(JOINS)]
    begun = {"asked": lambda: all(map(asks, others)), "granted": changed(ca.host.data / "ca" / "journal.head")}

    first = [node.host.popen(node.host.pulse_command("join", ca.underlay, "--token", token)) for node in others]
    wait_until(begun[moment], f"a join was {moment}", PATIENCE)
    ca.kill()
    ca.start()
    for join in first:
        join.wait()
    for node in others:
        if not is_member(node):
            node.tries("join", ca.underlay, "--token", token)

    assert [is_member(node) for node in others].count(True) == 1
    assert issued(ca)[tokens_made(ca)[-1]] == 1
    assert issued(ca).total() == len(("the CA", "the member", "one of the others"))
    assert "entries hold" in ca.tries("ca", "log", "--verify").stdout


def beside(node: Node, directory: Path) -> Node:
    """Another node on the same host, with files of its own."""
    directory.mkdir()
    return Node(replace(node.host, directory=directory))


def asks(node: Node) -> bool:
    """True once it has made the key it joins with, or is a member already."""
    return (node.host.data / "join.key").exists() or is_member(node)


def is_member(node: Node) -> bool:
    """True if it has a certificate."""
    return (node.host.data / "identity").exists()


def changed(path: Path) -> Callable[[], bool]:
    """Whether a file is another one than now."""
    before = path.read_bytes()
    return lambda: path.read_bytes() != before


def tokens_made(ca: Node) -> list[object]:
    """How the journal calls the tokens made, oldest first."""
    return [entry.fields["token"] for entry in journal(ca) if entry.event == "token made"]


def issued(ca: Node) -> Counter[object]:
    """Certificates issued, by the token they were for."""
    return Counter(entry.fields["token"] for entry in journal(ca) if entry.event == "certificate issued")


def journal(ca: Node) -> list[JournalEntry]:
    """All the CA's journal has."""
    lines = ca.host.pulse("ca", "log", "--json").stdout.splitlines()
    return [msgspec.json.decode(line, type=JournalEntry) for line in lines]
