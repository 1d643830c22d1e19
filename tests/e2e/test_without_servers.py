"""The CA and the scribe are away: the mesh goes on, and a member that restarts is back by itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pulse.lab.lab import Lab
from pulse.lab.topologies import TWO_RELAYS
from tests.e2e.mesh import Mesh, Node, bring_up_two_relays
from tests.namespace import require_root


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    """Two nodes behind a CA and behind another relay; the CA, which is scribe too, has stopped."""
    require_root()
    with Lab(TWO_RELAYS) as lab:
        made = bring_up_two_relays(lab)
        made["relay"].stop()
        yield made
        assert made.errors == []


def test_those_who_are_there_reach_each_other(mesh: Mesh) -> None:
    mesh["left"].wait_relayed(mesh["right"], mesh["spare"])

    assert mesh["left"].reaches(mesh["right"])
    assert mesh["right"].reaches(mesh["spare"])
    assert mesh["left"].sees(mesh["relay"]).link == "-"


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_member_that_restarts_is_back_by_itself(mesh: Mesh, end: str) -> None:
    left, right = mesh["left"], mesh["right"]
    if end == "killed":
        left.kill()
    else:
        left.stop()

    left.start()

    left.wait_reaches(right)
    right.wait_reaches(left)


def test_two_members_on_one_network_meet_again_though_no_relay_is_left(mesh: Mesh) -> None:
    left, right = mesh["left"], mesh["right"]
    mesh.lab.join_network("left", "right")
    left.wait_direct(right)
    mesh["spare"].stop()
    left.kill()
    left.start()

    left.wait_direct(right)
    left.wait_reaches(right)


def test_nobody_joins_meanwhile_and_is_told_why(mesh: Mesh, tmp_path: Path) -> None:
    newcomer = Node(replace(mesh["left"].host, directory=tmp_path))

    tried = newcomer.tries("join", newcomer.way_to(mesh["spare"]), "--token", "a1b2c3d4e5f6g7h8" * 3)

    assert tried.code != 0
    assert "CA" in tried.stderr
    assert not (newcomer.host.data / "identity").exists()
