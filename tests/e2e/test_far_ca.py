"""A chain, its CA at one end: every node joined over one that is no CA, the last one over three hops."""

from collections.abc import Iterator

import pytest

from pulse.errors import LinkError
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import CHAIN
from pulse.lab.transfer import measure
from tests.e2e.mesh import PATIENCE, Mesh, bring_up_chain
from tests.namespace import require_root


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """The chain a (the CA), r1, r2, r3, b."""
    require_root()
    with Lab(CHAIN) as lab:
        made = bring_up_chain(lab)
        yield made
        assert made.errors == []


def test_both_ends_reach_each_other(mesh: Mesh) -> None:
    mesh["b"].wait_reaches(mesh["a"])
    mesh["a"].wait_reaches(mesh["b"])

    row = mesh["b"].sees(mesh["a"])
    assert (row.via, row.hops, row.roles) == ("r3", 4, ["ca", "scribe"])


def test_a_trace_names_every_hop(mesh: Mesh) -> None:
    found = mesh["b"].trace(mesh["a"])

    assert [hop.name for hop in found.hops] == ["r3", "r2", "r1", "a"]
    assert (found.problem, found.rtt is not None) == ("", True)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_transfer_over_three_relays_arrives_whole(mesh: Mesh, family: str) -> None:
    a, b = mesh["a"], mesh["b"]

    assert measure(b.host, a.host, getattr(a, family), 50 << 20).hash_equal


def test_without_a_hop_there_is_no_way_and_a_trace_says_so(mesh: Mesh) -> None:
    mesh["r1"].stop()
    try:
        wait_until(lambda: not mesh["b"].has_path(mesh["a"]), "b has no path to a", PATIENCE)
        tried = mesh["b"].tries("trace", "a")
    finally:
        mesh["r1"].start()
        mesh.wait_whole()

    assert tried.code == LinkError.exit_code
    assert "no path leads to a now" in tried.stderr
