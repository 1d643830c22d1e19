"""The reference's "Access control" and "Time-limited invite", as people type them on three machines.

Invariant: what is typed is what the reference has; only the token and who has which tag are put in.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pulse.calls.tokens import TokenCalls
from pulse.client import connect
from pulse.errors import Refused
from pulse.lab.host import Output, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.exchange import connects
from tests.e2e.mesh import PATIENCE, Mesh, Node, errors_of
from tests.namespace import require_root

INVITE = "pulse token create --ttl 1h --max-uses 1"
SSH = 'pulse acl add --from "tag:infra" --to "*" --ports 22'
BLOCK = 'pulse acl add --from "tag:dev" --to "tag:prod" --deny'
DATABASE = 'pulse acl add --from "*" --to "tag:db" --ports 5432'
TAGS = {"ops": ("infra",), "laptop": ("dev",), "server": ("prod", "db")}
HOUR = 3600.0


def types(mesh: Mesh, line: str) -> Output:
    """What an operator's line came to, once all machines go by it."""
    ops = mesh["ops"]
    done = ops.host.run(["sh", "-c", line])
    wanted = ops.config
    wait_until(lambda: all(node.config == wanted for node in mesh.nodes.values()), f"{wanted} is all over", PATIENCE)
    return done


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """The operator's machine (CA and scribe), a developer's laptop, and a server; each joined by such an invite."""
    require_root()
    with Lab(joined(tuple(TAGS))) as lab:
        ops, *others = nodes = [Node(host) for host in lab.hosts.values()]
        ops.start("--ca", "--scribe", "--network", "team")
        for node in others:
            node.join(ops, ops.host.run(["sh", "-c", INVITE]).stdout.split()[-1])
            node.start()
            node.wait_linked(ops)
        made = Mesh(lab, {node.host.name: node for node in nodes})
        for name, tags in TAGS.items():
            for tag in tags:
                types(made, f"pulse tag {name} {tag}")
        yield made
        assert errors_of(nodes) == []


def test_an_invite_of_an_hour_and_one_use_destroys_itself(mesh: Mesh, tmp_path: Path) -> None:
    ops = mesh["ops"]
    token = ops.host.run(["sh", "-c", INVITE]).stdout.split()[-1]
    with connect(ops.host.data) as client:
        listed = TokenCalls(client).list_tokens()
    assert all(each.max_uses == 1 and each.expires == pytest.approx(each.created + HOUR) for each in listed), listed
    first, second = (Node(replace(mesh["laptop"].host, directory=tmp_path / name)) for name in ("first", "second"))

    first.join(ops, token)
    tried = second.tries("join", ops.underlay, "--token", token)

    assert (tried.code, "this token is used up" in tried.stderr) == (Refused.exit_code, True), tried


def test_the_first_rule_that_fits_decides_and_what_none_fits_is_denied(mesh: Mesh) -> None:
    ops, laptop, server = (mesh[name] for name in TAGS)
    assert connects(laptop, server, 22), "no rules: open"

    types(mesh, SSH)
    assert connects(ops, server, 22)
    assert connects(ops, laptop, 22)
    assert not connects(laptop, server, 22)
    assert not connects(ops, server, 5432)

    types(mesh, BLOCK)
    types(mesh, DATABASE)
    assert connects(ops, server, 5432)
    assert not connects(laptop, server, 5432), "the server is tag:prod, too, and that rule comes first"
    assert "DENIED by rule 2" in ops.host.pulse("acl", "explain", "laptop", "server:5432", check=False).stdout

    types(mesh, "pulse acl remove 2")
    assert connects(laptop, server, 5432)
    assert not connects(laptop, server, 22)


def test_a_mistyped_tag_and_a_rule_that_is_not_there_change_nothing(mesh: Mesh) -> None:
    ops = mesh["ops"]
    before = ops.config

    mistyped = ops.tries("acl", "add", "--from", "tag:ifra", "--to", "*", "--ports", "22")
    absent = ops.tries("acl", "remove", "9")

    assert (mistyped.code != 0, "Did you mean tag:infra?" in mistyped.stderr) == (True, True), mistyped
    assert (absent.code != 0, "9" in absent.stderr) == (True, True), absent
    assert ops.config == before
