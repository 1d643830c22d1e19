"""The CA on one machine, the scribe on another, both killed: those who are left have each other and their names.

Invariant: each test leaves the two servers killed and the two others up.
"""

import secrets
from collections.abc import Iterator
from typing import Final

import pytest

from pulse.errors import Refused
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.mesh import PATIENCE, Mesh, Node
from tests.namespace import require_root

APART: Final = joined(("ca", "scribe"), ("ca", "near"), ("near", "far"))
"""Far has a cable to near alone, which is no server."""

NAMES: Final = {"ca": "ministry", "scribe": "registry", "near": "kiosk", "far": "camera"}
FLAGS: Final = {"ca": ("--ca",), "scribe": ("--scribe",), "near": (), "far": ()}


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """All have the names the scribe gave them; then both servers are killed."""
    require_root()
    with Lab(APART) as lab:
        made = Mesh(lab, {name: Node(host) for name, host in lab.hosts.items()})
        token = secrets.token_hex(32)
        made["ca"].start("--ca", "--network", "test", "--token", token)
        for name, door in (("scribe", "ca"), ("near", "ca"), ("far", "near")):
            made[name].join(made[door], token)
            made[name].start(*FLAGS[name])
            made[name].wait_path(made["ca"])
        made.wait_whole()
        for name, node in made.nodes.items():
            made["scribe"].host.pulse("name", node.status().node.id, NAMES[name])
        for node in made.nodes.values():
            wait_shown(node, *NAMES.values())
        far = made["far"].status().node.id.encode()
        wait_until(lambda: far in kept_peers(made["scribe"]), "the scribe has written down whom it met", PATIENCE)
        for server in ("ca", "scribe"):
            made[server].kill()
        yield made
        assert made.errors == []


def shown(node: Node) -> set[str]:
    """Names of the nodes it says it reaches, its own among them."""
    status = node.status()
    return {status.node.name, *(row.name for row in status.peers if row.link != "-")}


def kept_peers(node: Node) -> bytes:
    """What it remembers of others over a restart."""
    return (node.host.data / "peers").read_bytes()


def wait_shown(node: Node, *names: str) -> None:
    """Wait until those it reaches have these names, and nobody else is reached."""
    wait_until(lambda: shown(node) == {*names}, f"{node.host.name} reaches {', '.join(names)} alone", PATIENCE)


def test_those_who_are_left_reach_each_other_and_know_who_is_away(mesh: Mesh) -> None:
    for node, other in ((mesh["near"], mesh["far"]), (mesh["far"], mesh["near"])):
        wait_shown(node, "kiosk", "camera")

        assert node.reaches(other)
        away = {row.name: row.roles for row in node.status().peers if row.link == "-"}
        assert away == {"ministry": ["ca"], "registry": ["scribe"]}


@pytest.mark.parametrize("name", ["near", "far"])
def test_a_member_that_was_killed_is_back_by_itself_and_all_have_their_names(mesh: Mesh, name: str) -> None:
    mesh[name].kill()
    mesh[name].start()

    for node in (mesh["near"], mesh["far"]):
        wait_shown(node, "kiosk", "camera")
        assert {row.name for row in node.status().peers} | {node.status().node.name} == {*NAMES.values()}
    assert mesh["near"].reaches(mesh["far"])


def test_what_only_a_server_can_do_is_refused_and_says_whose_it_is(mesh: Mesh) -> None:
    near = mesh["near"]

    for line, where in (
        (("name", "camera", "webcam"), "registry"),
        (("token", "create"), "ministry"),
        (("revoke", "camera"), "ministry"),
    ):
        tried = near.tries(*line)
        assert (tried.code, where in tried.stderr) == (Refused.exit_code, True), tried


def test_the_scribe_names_nodes_without_the_ca_which_hears_of_it_later(mesh: Mesh) -> None:
    wanted = {**NAMES, "far": "webcam"}.values()
    ca, scribe = mesh["ca"], mesh["scribe"]

    scribe.start("--scribe")
    scribe.host.pulse("name", "camera", "webcam")
    ca.start("--ca")
    try:
        for node in mesh.nodes.values():
            wait_shown(node, *wanted)
    finally:
        scribe.host.pulse("name", "webcam", "camera")
        wait_shown(mesh["far"], *NAMES.values())
        ca.kill()
        scribe.kill()
