"""The reference's "Exit node for a team", as people type it, and a web site that tells them where they come from.

Invariant: what is typed is what the reference has; only the token is put in, and the approval that our exits want. The
tests follow one another.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulse.lab.host import Output, Running, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.ifconfig import NAME, serves_addresses
from tests.e2e.mesh import PATIENCE, Node
from tests.e2e.typed import serves, types
from tests.namespace import require_root

TOKEN = "7c1d4e9a0b36f258" * 4
RELAY = f"pulse --ca --scribe --addr relay.example.com:443 --listen :443 --network team --token {TOKEN}"
EXIT = f"pulse --exit --exit-cidrs 0.0.0.0/0 --tun --network team --token {TOKEN} relay.example.com:443"
CLIENT = f"pulse --socks --tun --network team --token {TOKEN} relay.example.com:443"
LIST = "pulse route list"
APPROVE = "pulse route approve 0.0.0.0/0"
CLOSE = (
    "pulse tag laptop guest",
    'pulse acl add --from "tag:guest" --to "*" --deny',
    'pulse acl add --from "*" --to "*"',
)
CURL = "curl --socks5 127.0.0.1:1080 https://ifconfig.me"
NOT_ALLOWED, NO_EXIT = "(2)", "(3)"
"""The codes of SOCKS5 with which curl says why not."""


@dataclass(frozen=True, slots=True)
class Team:
    """A relay, an exit in a data center, and a laptop whose only way out of its network is the relay's."""

    relay: Node
    exit: Node
    laptop: Node
    running: tuple[Running, ...]

    @property
    def egress(self) -> str:
        """What the data center's network calls the exit, as a site answers it."""
        return f"{self.exit.host.v4.ip}\n"

    def curls(self) -> Output:
        """What the laptop's curl through the proxy came to."""
        return types(self.laptop, CURL)


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    """All of it, typed, but for the approval."""
    require_root()
    with Lab(joined(("relay", "laptop"), ("relay", "exit-1", "provider"), ("provider", "public"))) as lab:
        lab.add_name("relay.example.com", "relay")
        lab.add_name(NAME, "public")
        laptop = lab["laptop"]
        laptop.run(["ip", "route", "add", "default", "via", str(lab["relay"].v4.ip)])
        # The site is no neighbour of the exit: networks that it is in itself are closed.
        lab["provider"].run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        for name, port in (("exit-1", 0), ("public", 1)):
            lab[name].run(["ip", "route", "add", "default", "via", str(lab["provider"].ports[port].v4.ip)])
        serves_addresses(lab["public"], laptop)
        relay, exit_, client = (Node(lab[name]) for name in ("relay", "exit-1", "laptop"))
        lines = ((relay, RELAY), (exit_, EXIT), (client, CLIENT))
        running = tuple(serves(node, line) for node, line in lines)
        client.wait_path(exit_)
        yield Team(relay, exit_, client, running)
        assert [line for each in running for line in each.text().splitlines() if " ERROR " in line] == []


def test_nobody_gets_out_before_one_approval(team: Team) -> None:
    wait_until(lambda: "offered" in types(team.laptop, LIST).stdout, "the offer is heard", PATIENCE)

    refused = team.curls()
    assert (refused.code != 0, NO_EXIT in refused.stderr) == (True, True), refused


def test_all_others_learn_the_route_and_leave_from_the_data_center(team: Team) -> None:
    assert types(team.relay, APPROVE).code == 0
    wait_until(lambda: "in use" in types(team.laptop, LIST).stdout, "the route is in use", PATIENCE)

    assert "exit-1" in types(team.laptop, LIST).stdout
    assert team.curls().stdout == team.egress
    assert types(team.laptop, "curl https://ifconfig.me").stdout == team.egress, "without the proxy, too"


def test_a_rule_decides_who_leaves(team: Team) -> None:
    for line in CLOSE:
        done = types(team.relay, line)
        assert done.code == 0, done
    wait_until(lambda: team.curls().code != 0, "the laptop is shut in", PATIENCE)

    refused = team.curls()
    assert NOT_ALLOWED in refused.stderr, refused
    assert types(team.laptop, "curl https://ifconfig.me").code != 0

    assert types(team.relay, "pulse acl remove 1").code == 0
    wait_until(lambda: team.curls().stdout == team.egress, "it gets out again", PATIENCE)


def test_without_the_exit_nothing_leaves_by_another_way(team: Team) -> None:
    team.running[1].stop()
    wait_until(lambda: "in use" not in types(team.laptop, LIST).stdout, "the exit is missed", PATIENCE)

    assert team.curls().code != 0
    shut = types(team.laptop, "curl https://ifconfig.me")
    assert (shut.code != 0, shut.stdout) == (True, ""), shut
