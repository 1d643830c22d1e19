"""The reference's "Controlled access for contractors", as people type it on three machines.

Invariant: the token is made by the very words of the reference; what it leaves open, addresses and names, is put in.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pulse.calls.tokens import TokenCalls
from pulse.client import connect
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.exchange import connects
from tests.e2e.mesh import PATIENCE, Mesh, Node, errors_of
from tests.namespace import require_root

TOKEN = ("token", "create", "--ttl", "4h", "--max-uses", "1")
RULE = ("--from", "tag:contractor", "--to", "tag:staging", "--proto", "tcp", "--ports", "22")
HOURS = 4 * 3600.0


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    """The operator's machine (CA and scribe), a staging server, and a contractor who is not in yet."""
    require_root()
    with Lab(joined(("ops", "staging", "contractor"))) as lab:
        nodes = {name: Node(lab[name]) for name in lab.hosts}
        ops, staging = nodes["ops"], nodes["staging"]
        ops.start("--ca", "--scribe", "--network", "team")
        staging.join(ops, ops.token("--max-uses", "1"))
        staging.start()
        staging.wait_linked(ops)
        made = Mesh(lab, nodes)
        yield made
        assert errors_of(node for node in nodes.values() if (node.host.data / "pulse.log").exists()) == []


def typed(mesh: Mesh, *words: str) -> None:
    """What the operator types, once all who run have it."""
    mesh["ops"].host.pulse(*words)
    wanted = mesh["ops"].config
    running = [node for node in mesh.nodes.values() if (node.host.data / "network").exists()]
    wait_until(lambda: all(node.config == wanted for node in running), f"{wanted} is all over", PATIENCE)


def test_a_contractor_gets_to_port_22_of_staging_and_nowhere_else(mesh: Mesh, tmp_path: Path) -> None:
    ops, staging, contractor = (mesh[name] for name in ("ops", "staging", "contractor"))
    typed(mesh, "tag", "staging", "staging")
    typed(mesh, "acl", "add", *RULE, "--ahead")
    token = ops.host.pulse(*TOKEN).stdout.split()[-1]
    with connect(ops.host.data) as client:
        listed = TokenCalls(client).list_tokens()
    assert any(each.max_uses == 1 and each.expires == pytest.approx(each.created + HOURS) for each in listed)

    contractor.join(ops, token)
    contractor.start()
    contractor.wait_linked(ops, staging)
    assert not connects(contractor, staging, 22)
    typed(mesh, "tag", "contractor", "contractor")

    assert connects(contractor, staging, 22)
    assert [port for port in (21, 23, 443) if connects(contractor, staging, port)] == []
    assert not connects(contractor, ops, 22)
    assert not connects(staging, contractor, 22)
    assert not any(contractor.reaches(other) for other in (staging, ops))
    assert "ALLOWED by rule 1" in contractor.host.pulse("acl", "explain", "contractor", "staging:22").stdout
    for forbidden in (("acl", "remove", "1"), ("tag", "contractor", "staging"), TOKEN):
        assert contractor.tries(*forbidden).code == 3

    # The token is dead: for another machine, and for the contractor's own, should its key be lost.
    for name in ("other", "anew"):
        again = Node(replace(contractor.host, directory=tmp_path / name)).tries("join", ops.underlay, "--token", token)
        assert again.code == 3
        assert "this token is used up" in again.stderr
