"""How long a frame of the dashboard takes while dashes move through a mesh of many nodes: `bench/web.py --json`.

The node answers from memory, each time with other figures; the browser is headless, has no GPU and paces itself to 60
frames a second. So two things count: how long our script takes of a frame, and how much later frames come than on an
empty page of the same run, with the same neighbours on the machine.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from rig import main

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.api.doors import Doors, doors
from tests.api.fake_control import peer
from tests.api.fake_ways import ID
from tests.chromium import Page, browsing

from pulse.schemas.node import PeerRow
from pulse.schemas.topology import Topology, TopologyLink

WINDOW = "--window-size=1280,900"
SITES = ("berlin", "paris", "oslo", "home", "office", "lab", "cam", "store")

LOOKED_AGAIN = "performance.getEntriesByType('resource').filter((each) => each.name.endsWith('/api/status')).length > 2"

TIMED = """(() => {
  const ask = window.requestAnimationFrame.bind(window);
  window.took = [];
  window.requestAnimationFrame = (draw) => ask((now) => {
    const began = performance.now();
    draw(now);
    window.took.push(performance.now() - began);
  });
  window.plain = ask;
})()"""
"""Before the page's own scripts: how long each of its frames takes them."""

MEASURE = """new Promise((told) => {
  const frames = [];
  const frame = (now) => {
    frames.push(now);
    if (now - frames[0] < %d) plain(frame);
    else told(frames.slice(1).map((each, place) => each - frames[place]).sort((a, b) => a - b));
  };
  window.took.length = 0;
  plain(frame);
})"""


class Result(msgspec.Struct):
    """One run; times in milliseconds."""

    nodes: int
    links: int
    first_picture: float
    """From the key to a drawn mesh."""
    frames: int
    script_p95: float
    """Of a frame, what our script takes."""
    p95: float
    """Between two frames."""
    empty_p95: float
    """Between two frames of the page before anybody signed in, on which nothing moves."""


def fill(node: Doors, count: int, draw: random.Random) -> int:
    """A mesh of so many nodes, an eighth of them behind a relay; how many links it has."""
    ids = [ID, *(f"{place:064x}" for place in range(1, count))]
    pairs = {(0, each) for each in range(1, count, 4)}
    pairs |= {(one, draw.randrange(1, count)) for one in range(1, count) for _ in range(12)}
    links = [TopologyLink(one, other, draw.random() / 10, 0.0) for one, other in sorted(pairs) if one < other]
    node.control.ways.links = Topology(ids, links)
    look(node, ids, 0)
    return len(links)


def look(node: Doors, ids: list[str], moved: int) -> None:
    """The peers, so many bytes later."""

    def one(place: int, node: str) -> PeerRow:
        return peer(
            f"{SITES[place % len(SITES)]}-{place}",
            id=node,
            path=[node] if place % 8 else [ids[8], node],
            address=f"198.51.{place % 250}.{place % 99}:443",
            bytes_out=moved * place,
            roles=["exit"] if place == 8 else [],
        )

    node.control.node.peers = [one(place, each) for place, each in enumerate(ids) if place]


def sign_in(page: Page, node: Doors) -> float:
    """Seconds until the mesh is drawn."""
    page.type("#key", node.keys["read"])
    began = time.monotonic()
    page.click("#sign-in button")
    page.wait("document.querySelectorAll('.nodes tbody tr').length > 1")
    return time.monotonic() - began


def measure(options: argparse.Namespace) -> Result:
    """Sign in, wait until dashes move, and count frames."""
    draw = random.Random(1)  # noqa: S311 - a picture, no secret
    place = tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp")
    with place as name, doors(Path(name)) as node, browsing(WINDOW) as page:
        links = fill(node, options.nodes, draw)
        page.call("Page.addScriptToEvaluateOnNewDocument", source=TIMED)
        page.open(f"http://127.0.0.1:{node.address[1]}/")
        empty = page.run(MEASURE % (options.seconds * 1000))
        first = sign_in(page, node)
        look(node, node.control.ways.links.nodes, 1000)
        page.wait(
            "performance.getEntriesByType('resource').filter((each) => each.name.endsWith('/api/status')).length > 1"
        )
        time.sleep(2)
        found = page.run(MEASURE % (options.seconds * 1000))
        took = sorted(page.run("took"))
        assert page.said == [], page.said
    script, between, nothing = (round(each[int(len(each) * 0.95)], 1) for each in (took, found, empty))
    return Result(options.nodes, links, round(first * 1000), len(found), script, between, nothing)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    main(parser, measure)
