"""From this release to the next and back, one node after the other, while traffic goes on.

Invariant: one TCP connection, through a relay, lives through all of it, and what a person was told is done stays done.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from pulse.calls.tokens import TokenCalls
from pulse.client import connect
from pulse.lab import stream
from pulse.lab.beat import beating
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import RELAY
from tests import later
from tests.e2e.mesh import PATIENCE, PORT, Mesh, Node, bring_up_relay
from tests.namespace import require_root

PACE = 4.0
NOW = metadata.version("pulse-mesh")


@dataclass(frozen=True, slots=True)
class Fleet:
    """A relay that is CA and scribe, and two who reach each other through it."""

    mesh: Mesh
    later: Path

    def replace(self, name: str, release: str) -> None:
        """Stop that node and start it as another release; returns when all reach each other, and say so."""
        node = self.mesh[name]
        node.stop()
        environment = {"PYTHONPATH": str(self.later)} if release == later.VERSION else {}
        command = ("start", "--tun", "--addr", f":{PORT}", "--listen", f":{PORT}")
        node.host.run(node.host.pulse_command(*command), environment=environment)
        assert node.status().version == release
        self.mesh.wait_whole()
        others = [other for other in self.mesh.nodes.values() if other is not node]
        wait_until(
            lambda: all(other.sees(node).version == release for other in others), f"all know {release}", PATIENCE
        )

    def edit(self, tag: str) -> None:
        """Have the scribe say something; returns when every node has it."""
        relay = self.mesh["relay"]
        relay.host.pulse("tag", "left", tag)
        wait_until(
            lambda: all(tag in node.sees(self.mesh["left"]).tags for node in (relay, self.mesh["right"])),
            f"all have the tag {tag}",
            PATIENCE,
        )

    def ask(self, name: str) -> None:
        """That node asks the one after it, by a call from node to node."""
        other = {"left": "right", "right": "relay", "relay": "left"}[name]
        assert "reached" in self.mesh[name].host.pulse("why", other).stdout


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    require_root()
    with Lab(RELAY) as lab:
        mesh = bring_up_relay(lab)
        for name, node in mesh.nodes.items():
            mesh["relay"].host.pulse("name", node.status().node.id, name)
        yield Fleet(mesh, later.tree(tmp_path))
        assert mesh.errors == []


def events_hold(node: Node) -> bool:
    """Those of the other release are told, too."""
    told = node.host.pulse("events", "--lines", "1000", "--json").stdout
    return "of the next release" in told and "hold" in node.host.pulse("events", "--verify").stdout


def good_tokens(ca: Node) -> set[str]:
    with connect(ca.host.data) as client:
        return {each.id for each in TokenCalls(client).list_tokens() if each.state == "good"}


def notices_what_is_installed(node: Node, tree: Path) -> None:
    """Before it is restarted."""
    found = node.host.run(node.host.pulse_command("doctor"), environment={"PYTHONPATH": str(tree)}, check=False)
    assert f"the node that runs is pulse {NOW}, and {later.VERSION} is installed" in found.stdout


def test_a_mesh_goes_to_the_next_release_and_back_under_traffic(fleet: Fleet) -> None:
    mesh, tags, tokens = fleet.mesh, ["at-first"], set[str]()
    left, right, relay = mesh["left"], mesh["right"], mesh["relay"]
    fleet.edit("at-first")
    notices_what_is_installed(right, fleet.later)
    flow = stream.begin(left.host, right.host, right.v4, mbit=PACE)

    with beating(right.host, left.host, left.v4) as beat:
        for release, order in ((later.VERSION, ("right", "relay", "left")), (NOW, ("relay", "left", "right"))):
            for number, name in enumerate(order):
                fleet.replace(name, release)
                flow.wait_moving()
                beat.wait_more(20)
                tags.append(f"{name}-{number}-{release[2]}")
                fleet.edit(tags[-1])
                if name == "relay":
                    relay.token("--ttl", "1h")
                    tokens |= good_tokens(relay)
                fleet.ask(name)

    whole = flow.finish()
    assert whole.hash_equal
    assert {*tags} <= {*right.sees(left).tags}
    assert tokens <= good_tokens(relay)
    assert all(events_hold(node) for node in mesh.nodes.values())
    assert "entries hold" in relay.host.pulse("ca", "log", "--verify").stdout
    assert "object of an unknown kind skipped" in relay.log
