"""The CA's machine is lost: its backup, put back on another one, finds the mesh, learns whom it let in, and goes on."""

from pulse.calls.ca import CaCalls
from pulse.client import connect
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import star
from pulse.store import peers
from tests.e2e.mesh import PATIENCE, Node, errors_of
from tests.namespace import require_root


def told(ca: Node) -> list[str]:
    with connect(ca.host.data) as client:
        return [entry.event for entry in CaCalls(client).ca_log(0)]


def joins(node: Node, ca: Node) -> None:
    node.join(ca, ca.token("--max-uses", "1"))
    node.start()
    node.wait_linked(ca)


def test_a_ca_put_back_on_another_machine_finds_the_mesh_and_knows_again_whom_it_let_in() -> None:
    require_root()
    with Lab(star(4)) as lab:
        ca, early, late, spare = (Node(lab[name]) for name in ("h0", "h1", "h2", "h3"))
        ca.start("--ca", "--scribe", "--network", "test")
        joins(early, ca)
        wait_until(lambda: peers.load(ca.host.data)[0], "whom the CA met is on its disk", PATIENCE)
        file = str(ca.host.data.parent / "ca.backup")
        assert "CA of test" in ca.host.pulse("ca", "backup", file).stdout
        joins(late, ca)
        address = late.v4
        assert "another pulse" in ca.tries("ca", "restore", file, "--force").stderr

        ca.stop()
        assert "Start it: pulse start --ca   " in spare.host.pulse("ca", "restore", file).stdout
        # Nobody tells it where the others are, and it is not where they would look for it.
        spare.start("--ca", "--scribe")
        assert told(spare)[-1] == "ledger put back from a backup"
        taken = "certificates taken in from the mesh"
        wait_until(lambda: taken in told(spare), "the CA has heard from the mesh", PATIENCE)
        wait_until(lambda: late.pings(spare.v4).code == 0, "who joined since reaches it", PATIENCE)
        assert late.v4 == address
        spare.host.pulse("name", "h2", "latest")
        assert "hold" in spare.host.pulse("ca", "log", "--verify").stdout
        assert errors_of((early, late, spare)) == []
