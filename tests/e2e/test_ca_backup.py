"""The CA's machine is lost: its backup, put back, learns from the mesh whom it let in since, and goes on."""

from pulse.client import connect
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from tests.e2e.mesh import PATIENCE, Node, errors_of


def told(ca: Node) -> list[str]:
    with connect(ca.host.data) as client:
        return [entry.event for entry in client.ca_log(0)]


def test_a_ca_put_back_from_a_backup_knows_again_whom_it_let_in(lab: Lab) -> None:
    ca, member = Node(lab["a"]), Node(lab["b"])
    ca.start("--ca", "--network", "test")
    file = str(ca.host.data.parent / "ca.backup")
    assert "CA of test" in ca.host.pulse("ca", "backup", file).stdout
    member.join(ca, ca.token("--max-uses", "1"))
    member.start()
    member.wait_linked(ca)
    address = member.v4
    assert "another pulse" in ca.tries("ca", "restore", file, "--force").stderr

    ca.stop()
    assert "Start it" in ca.host.pulse("ca", "restore", file, "--force").stdout
    ca.start("--ca")
    assert told(ca)[-1] == "ledger put back from a backup"
    wait_until(lambda: "certificates taken in from the mesh" in told(ca), "the CA has heard from the mesh", PATIENCE)
    member.wait_reaches(ca)
    assert member.v4 == address
    assert "hold" in ca.host.pulse("ca", "log", "--verify").stdout
    assert errors_of((ca, member)) == []
