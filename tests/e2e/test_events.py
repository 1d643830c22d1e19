"""What happened in a mesh is told afterwards by every node that saw it, and how the mesh looked at the time.

Invariant: the tests read one story, made once: two joins, a name, a cable that was cut, a revocation.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pulse import clock
from pulse.calls.names import NameCalls
from pulse.client import connect
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import RELAY
from tests.arch.test_events import listed
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_relay
from tests.namespace import require_root


@dataclass(frozen=True)
class Story:
    """The mesh, ids by host, and when all was whole, when `left` was away, when `right` was out."""

    mesh: Mesh
    ids: dict[str, str]
    whole: float
    away: float
    out: float


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    require_root()
    with Lab(RELAY) as lab:
        mesh = bring_up_relay(lab)
        relay, left = mesh["relay"], mesh["left"]
        ids = {name: node.status().node.id for name, node in mesh.nodes.items()}
        # The journal looks at paths once a second: what is there already is told a little later.
        for other in ("left", "right"):
            wait_told(relay, "up", other)
        relay.host.pulse("name", "left", "laptop")
        wait_told(left, "edit", "laptop")
        whole = clock.wall()
        lab.cut("relay", "left")
        wait_told(relay, "down", "laptop")
        away = clock.wall()
        relay.host.pulse("revoke", "--node", "right")
        wait_told(relay, "revoke", "right")
        yield Story(mesh, ids, whole, away, clock.wall())
        assert mesh.errors == []


def told(node: Node, *flags: str) -> list[dict[str, Any]]:
    """Its events, oldest first."""
    return [json.loads(line) for line in node.host.pulse("events", "--json", *flags).stdout.splitlines()]


def stamp(at: float) -> str:
    """A time as people type it."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def wait_told(node: Node, kind: str, name: str) -> None:
    wait_until(partial(told, node, "--type", kind, "--node", name), f"{node.host.name} tells {kind} {name}", PATIENCE)


def kinds(events: list[dict[str, Any]], node: str) -> list[str]:
    return [each["type"] for each in events if each["node"] == node]


def test_the_ca_tells_of_each_node_in_the_order_of_what_happened(story: Story) -> None:
    events = told(story.mesh["relay"])

    assert [each["seq"] for each in events] == sorted(each["seq"] for each in events)
    assert events[0]["type"] == "start"
    assert kinds(events, story.ids["left"]) == ["issue", "join", "up", "edit", "down"]
    assert [kind for kind in kinds(events, story.ids["right"]) if kind != "down"] == ["issue", "join", "up", "revoke"]


def test_every_node_tells_what_it_saw(story: Story) -> None:
    events = told(story.mesh["left"])
    fields = listed()
    assert [each for each in events if not set(each["fields"]) <= fields[each["type"]]] == []

    assert kinds(events, story.ids["right"])[:2] == ["join", "up"]
    up = next(each for each in events if each["type"] == "up" and each["node"] == story.ids["right"])
    assert (up["name"], up["fields"]["via"]) == ("right", "relay")
    assert story.ids["relay"] in {each["node"] for each in told(story.mesh["left"], "--type", "down")}


def test_the_mesh_is_shown_as_it_was(story: Story) -> None:
    def reached(at: float) -> dict[str, bool]:
        found = json.loads(story.mesh["relay"].host.pulse("status", "--at", stamp(at), "--json").stdout)
        return {peer["name"]: peer["link"] != "-" for peer in found["peers"]}

    assert reached(story.whole) == {"laptop": True, "right": True}
    assert reached(story.away) == {"laptop": False, "right": True}
    assert reached(story.out) == {"laptop": False}
    shown = story.mesh["relay"].host.pulse("status", "--at", stamp(story.whole)).stdout
    assert "3 nodes, 2 direct, 0 over a relay, 0 without a path." in shown
    before = story.mesh["left"].host.pulse("status", "--at", "1h", check=False)
    assert (before.code, "what was before is not known" in before.stderr) == (4, True)


def test_one_flipped_byte_is_found_and_named_while_the_node_runs(story: Story) -> None:
    relay = story.mesh["relay"]
    assert "entries hold" in relay.host.pulse("events", "--verify").stdout
    path = next(iter(sorted((relay.host.data / "events").glob("*.jsonl"))))
    data = bytearray(path.read_bytes())
    third = data.index(b"\n", data.index(b"\n") + 1) + 80
    data[third] ^= 1
    path.write_bytes(data)

    done = relay.host.pulse("events", "--verify", check=False)

    assert done.code == 1
    assert "entry 3 of this node's journal (written after " in done.stderr
    data[third] ^= 1
    path.write_bytes(data)
    assert "entries hold" in relay.host.pulse("events", "--verify").stdout


def test_a_node_that_was_killed_says_that_it_cannot_know_and_one_that_is_out_is_refused(story: Story) -> None:
    right = story.mesh["right"]
    right.kill()
    killed = clock.wall()
    right.start()

    shown = right.host.pulse("status", "--at", stamp(killed)).stdout
    assert "ended without a word between" in shown
    assert "entries hold" in right.host.pulse("events", "--verify").stdout
    wait_until(partial(told, story.mesh["relay"], "--type", "refuse"), "the relay tells of a refusal", PATIENCE)


@pytest.fixture
def small_disk(story: Story) -> Iterator[Path]:
    """The directory of the left node's journal, empty and with room for 64 KiB, while its daemon does not run."""
    left = story.mesh["left"]
    left.stop()
    place = left.host.data / "events"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "none", place], check=True)
    try:
        yield place
    finally:
        left.stop()
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_stops_neither_the_node_nor_the_news_once_there_is_room(story: Story, small_disk: Path) -> None:
    left, filler = story.mesh["left"], small_disk / "filler"
    left.start()
    assert kinds(told(left), story.ids["relay"]) == ["join"]
    filler.write_bytes(bytes(64 * 1024 - sum(each.stat().st_blocks * 512 for each in small_disk.iterdir())))

    story.mesh.lab.mend("relay", "left")
    left.wait_path(story.mesh["relay"])
    with connect(story.mesh["relay"].host.data) as scribe:

        def edits() -> str:
            NameCalls(scribe).add_tag("laptop", "db")
            return NameCalls(scribe).remove_tag("laptop", "db").version

        def fills_it() -> bool:
            # Of edits in quick succession it hears the newest alone, and the last page of its file has room for some.
            edits()
            return "note:" in left.host.pulse("events").stderr

        wait_until(fills_it, "the disk of left is full", PATIENCE)
        newest = edits()
    done = left.host.pulse("events")
    assert "note: nothing can be written at present: cannot write to " in done.stderr
    assert "No space left on device" in done.stderr
    assert f"version={newest}" not in done.stdout

    filler.unlink()
    wait_until(lambda: f"version={newest}" in left.host.pulse("events").stdout, "left writes again", PATIENCE)
    assert kinds(told(left), story.ids["right"])[-1] == "revoke"
    assert left.log.count("events not kept on disk") == 1
    assert "entries hold" in left.host.pulse("events", "--verify").stdout
