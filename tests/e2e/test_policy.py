"""Rules typed at the scribe, as packets of other nodes feel them; then CA and scribe are killed.

Invariant: the tests run in their order, each on the rules the one before has left.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from pulse.lab.host import Output, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import star
from tests.e2e.exchange import SILENCE, connects, open_socket, serving
from tests.e2e.mesh import PATIENCE, Mesh, bring_up_mesh
from tests.namespace import require_root

FILE = """
[[acl]]
from = "web"
to = "db"
proto = ["tcp"]
ports = [22]

[[zones]]
name = "shop.pulse"
type = "A"
value = "10.9.0.1"
"""
MISTYPED = '[[acl]]\nfrom = "wbe"\nto = "db"\n'


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """h0 is CA and scribe; h1 is called web, h2 db, and all have direct links."""
    require_root()
    with Lab(star(3)) as lab:
        made = bring_up_mesh(lab, {"h1": "h0", "h2": "h0"})
        made["h1"].wait_direct(made["h2"])
        for name, called in (("h1", "web"), ("h2", "db")):
            made["h0"].host.pulse("name", made[name].status().node.id, called)
        yield made
        assert made.errors == []


def typed(mesh: Mesh, *words: str) -> str:
    """An edit at the scribe, once every node that runs has it."""
    said = mesh["h0"].host.pulse("acl", *words).stdout
    version = said.split()[-1]
    wait_until(lambda: all(mesh[name].config == version for name in ("h1", "h2")), f"{version} is all over", PATIENCE)
    return said


def refused(output: Output) -> str:
    assert (output.code != 0, output.stdout) == (True, "")
    return output.stderr


def test_a_mistyped_word_changes_nothing_and_names_the_next_step(mesh: Mesh) -> None:
    scribe = mesh["h0"]
    assert 'called "wbe". Did you mean web?' in refused(scribe.tries("acl", "add", "--from", "wbe", "--to", "db"))
    assert "Did you mean tag" not in refused(scribe.tries("acl", "add", "--from", "web", "--to", "tag:prod"))
    elsewhere = refused(mesh["h1"].tries("acl", "add", "--from", "web", "--to", "db"))
    assert "pulse ca grant" in elsewhere
    assert scribe.host.pulse("acl", "list").stdout.startswith("no rules: everybody may reach everybody")


def test_the_whole_network_is_kept_in_a_file(mesh: Mesh) -> None:
    scribe, web = mesh["h0"], mesh["h1"]
    before = scribe.host.pulse("config", "export").stdout
    assert "nothing to do" in scribe.host.pulse("config", "plan", "-", stdin=before).stdout
    wanted = before + FILE

    planned = scribe.host.pulse("config", "plan", "-", stdin=wanted, check=False)
    assert (planned.code, "added    r1: allow web → db tcp 22" in planned.stdout) == (2, True)
    elsewhere = web.host.pulse("config", "apply", "-", "--yes", stdin=wanted, check=False)
    assert (elsewhere.code, "pulse ca grant" in elsewhere.stderr) == (3, True)
    half = scribe.host.pulse("config", "apply", "-", "--yes", stdin=wanted + MISTYPED, check=False)
    assert (half.code, 'rule 2: no node is called "wbe"' in half.stderr) == (4, True)
    assert scribe.host.pulse("config", "export").stdout == before

    scribe.host.pulse("ca", "grant", "web", "operator")
    wait_until(lambda: web.status().node.roles == ["operator"], "web operates", PATIENCE)
    web.host.pulse("config", "apply", "-", "--yes", stdin=wanted)
    assert 'value = "10.9.0.1"' in scribe.host.pulse("config", "export").stdout
    wait_until(lambda: not connects(web, mesh["h2"], 23), "the file counts for packets", PATIENCE)
    web.host.pulse("config", "apply", "-", "--yes", "--force", stdin=before)
    scribe.host.pulse("ca", "ungrant", "web", "operator")
    wait_until(lambda: connects(web, mesh["h2"], 23), "the network is open again", PATIENCE)


def test_what_a_rule_allows_passes_and_nothing_else_does(mesh: Mesh) -> None:
    web, db = mesh["h1"], mesh["h2"]
    assert connects(web, db, 23)
    said = typed(mesh, "add", "--from", "web", "--to", "db", "--proto", "tcp", "--ports", "22")

    assert "added rule 1 (r2): allow web → db tcp 22" in said
    assert "lost" in said
    assert connects(web, db, 22)
    assert not connects(web, db, 23)
    assert not connects(db, web, 22)
    for node in (web, mesh["h0"]):
        told = node.host.pulse("acl", "explain", "web", "db:23").stdout
        assert told.startswith("DENIED by the end of the list")
        assert "nearest: rule 1  allow web → db tcp 22      it is for tcp 22\n" in told


def test_a_rule_that_denies_a_tag_goes_before_and_a_tag_that_is_taken_ends_it(mesh: Mesh) -> None:
    web, db = mesh["h1"], mesh["h2"]
    mesh["h0"].host.pulse("tag", "db", "shut")
    typed(mesh, "add", "--from", "*", "--to", "tag:shut", "--deny", "--at", "1")
    assert not connects(web, db, 22)

    mesh["h0"].host.pulse("untag", "db", "shut")
    wait_until(lambda: connects(web, db, 22), "port 22 is open again", PATIENCE)
    typed(mesh, "remove", "1")


def test_the_connection_it_is_typed_through_is_not_closed_by_mistake(mesh: Mesh) -> None:
    scribe = mesh["h0"].host
    through = {"SSH_CONNECTION": f"{mesh['h1'].v4} 50000 {mesh['h2'].v4} 22"}
    deny = scribe.pulse_command("acl", "add", "--from", "*", "--to", "db", "--deny", "--at", "1")

    said = refused(scribe.run(deny, check=False, environment=through))
    assert "close the connection it is typed through (web → db port 22)" in said
    assert "would have added rule 1" in scribe.run([*deny, "--force", "--dry-run"], environment=through).stdout


def test_rules_outlive_a_restart(mesh: Mesh) -> None:
    web, db = mesh["h1"], mesh["h2"]
    before = web.host.pulse("acl", "list", "--json").stdout
    web.stop()
    web.start()
    wait_until(lambda: connects(web, db, 22), "port 22 is reached again", PATIENCE)

    assert web.host.pulse("acl", "list", "--json").stdout == before
    assert not connects(web, db, 23)


def test_hits_of_all_nodes_are_summed_at_the_scribe_over_their_restarts(mesh: Mesh) -> None:
    def counted_by() -> dict[str, int]:
        rules = json.loads(mesh["h0"].host.pulse("acl", "hits", "--json").stdout)["rules"]
        (ssh,) = (each for each in rules if each["id"] == "r2")
        return {each["node"]: each["flows"] for each in ssh["nodes"]}

    wait_until(lambda: counted_by().keys() >= {"web", "db"}, "both ends have reported", PATIENCE)
    own = json.loads(mesh["h1"].host.pulse("acl", "hits", "--here", "--json").stdout)
    assert (own["counted_by"], own["here"]) == ("web", True)
    assert 0 < own["rules"][0]["flows"] <= counted_by()["web"]
    assert "is no operator" in refused(mesh["h1"].tries("acl", "hits"))


def test_a_rule_ends_by_itself_and_so_does_its_flow_with_ca_and_scribe_dead(mesh: Mesh) -> None:
    web, db = mesh["h1"], mesh["h2"]
    ends = ("--from", f"cidr:{web.v4}/32", "--to", f"cidr:{db.v4}/32")
    typed(mesh, "add", *ends, "--proto", "tcp", "--ports", "24-25", "--expires", "5s")
    with serving(db, 24) as listener, open_socket(web.host, web.v4, socket.SOCK_STREAM) as client:
        client.connect((db.v4, 24))
        with closing(listener.accept()[0]) as served:
            served.settimeout(SILENCE)
            assert passes(client, served)
            mesh["h0"].kill()

            wait_until(lambda: not passes(client, served), "the flow ends", PATIENCE)
    assert not connects(web, db, 25)
    assert connects(web, db, 22)
    assert "until" in web.host.pulse("acl", "list").stdout
    assert "its time is over" in web.host.pulse("acl", "explain", "web", "db:24").stdout


def passes(client: socket.socket, served: socket.socket) -> bool:
    try:
        client.sendall(b"x")
        return served.recv(64) != b""
    except OSError:
        return False
