"""The reference's "Home + relay setup", word for word, as people type it on two machines.

Invariant: what is typed is what the reference has; only what it leaves open, `<token>` and the ids, is put in.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulse.lab.host import Output, Running, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.mesh import PATIENCE, Node, errors_of
from tests.e2e.typed import serves, types
from tests.namespace import require_root

SERVE = "pulse --ca --addr relay.example.com:443 --listen :443 --network home --token $(openssl rand -hex 32)"
JOIN = "pulse join relay.example.com:443 --token {token}"
START = "pulse start --scribe --socks --dns --tun --network home relay.example.com:443"
NAMING = ("pulse name {relay} relay-01", "pulse name {home} home-desktop", "pulse tag {relay} infra")

Shown = tuple[str, list[str], list[str]]

SERVER: Shown = ("relay-01", ["ca"], ["infra"])
DESKTOP: Shown = ("home-desktop", ["scribe"], [])
"""Name, roles and tags of the two."""


@dataclass(slots=True)
class Setup:
    """Both machines, and what was said when all of it was typed for the first time."""

    relay: Node
    home: Node
    server: Running
    """The relay's pulse, in the foreground."""
    said: dict[str, Output]

    def naming(self) -> list[str]:
        """The lines that name and tag the nodes."""
        ids = {"relay": self.relay.status().node.id, "home": self.home.status().node.id}
        return [line.format(**ids) for line in NAMING]

    def wait_shown(self) -> None:
        """Wait until each machine shows both nodes, linked, under their new names, with their roles and tags."""
        wait_until(lambda: shown(self.home) == [DESKTOP, SERVER], "home shows both", PATIENCE)
        wait_until(lambda: shown(self.relay) == [SERVER, DESKTOP], "the relay shows both", PATIENCE)

    def serve_again(self, line: str = SERVE) -> None:
        """Press Ctrl-C on the relay, and type a line there."""
        assert self.server.stop(signal.SIGINT) == 0, self.server.text()
        assert " ERROR " not in self.server.text()
        self.server = serves(self.relay, line)


def shown(node: Node) -> list[Shown]:
    """Name, roles and tags of the node itself and of those it has links with."""
    status = node.status()
    linked = [(row.name, row.roles, row.tags) for row in status.peers if row.link != "-"]
    return [(status.node.name, status.node.roles, status.node.tags), *linked]


@pytest.fixture(scope="module")
def setup() -> Iterator[Setup]:
    """All of it, typed."""
    require_root()
    with Lab(joined(("relay", "home"))) as lab:
        lab.add_name("relay.example.com", "relay")
        relay, home = Node(lab["relay"]), Node(lab["home"])
        server = serves(relay, SERVE)
        token = types(relay, "pulse token").stdout.strip()
        said = {"join": types(home, JOIN.format(token=token)), "start": types(home, START)}
        made = Setup(relay, home, server, said)
        for line in made.naming():
            said[" ".join(line.split()[1::2])] = types(home, line)
        yield made
        assert errors_of([home]) == []
        assert " ERROR " not in made.server.text()


def test_every_line_typed_does_what_it_says(setup: Setup) -> None:
    assert {line: done.code for line, done in setup.said.items() if done.code} == {}, setup.said
    assert "relay.example.com:443" in setup.said["join"].stdout
    assert setup.said["name relay-01"].stdout.endswith("is relay-01 from now on\n")
    assert setup.said["tag infra"].stdout == "relay-01 has the tags infra\n"


def test_there_is_nothing_that_this_version_does_without(setup: Setup) -> None:
    assert setup.said["start"].stderr == ""


def test_both_machines_show_both_nodes_under_their_names(setup: Setup) -> None:
    setup.wait_shown()

    for node in (setup.home, setup.relay):
        typed = types(node, "pulse status").stdout
        assert "relay-01" in typed
        assert "home-desktop" in typed
        assert typed.startswith("All well. 2 nodes, 1 direct."), typed
    assert "infra" in types(setup.relay, "pulse id").stdout


def test_each_answers_the_other_by_name_and_by_mesh_address(setup: Setup) -> None:
    setup.wait_shown()
    relay, home = setup.relay, setup.home

    for node, name, address in ((home, "relay-01", relay.v4), (relay, "home-desktop", home.v4)):
        for target in (name, address):
            assert f"{name} ({address}) answered in" in types(node, f"pulse ping {target} -c 1").stdout


def test_typed_on_the_relay_the_naming_travels_to_the_scribe(setup: Setup) -> None:
    setup.wait_shown()

    tried = [types(setup.relay, line) for line in setup.naming()]

    assert [done.code for done in tried] == [0] * len(NAMING), tried
    setup.wait_shown()


def test_all_of_it_outlives_a_restart_of_both(setup: Setup) -> None:
    setup.home.kill()
    setup.serve_again()
    assert types(setup.home, START).code == 0

    setup.wait_shown()


def test_packets_pass_between_mesh_addresses_once_the_relay_has_a_tun_too(setup: Setup) -> None:
    setup.serve_again(f"{SERVE} --tun")
    setup.wait_shown()

    assert setup.home.reaches(setup.relay)
    assert setup.relay.reaches(setup.home)
