"""`pulse setup dns` where systemd-resolved runs: its names and no others, and nothing left behind."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from tests.e2e.machine import Machine
from tests.e2e.mesh import PATIENCE, Node
from tests.e2e.nameserver import NameServer, name_server, overheard
from tests.namespace import require_root

FAR = "192.0.2.1"
PORT = 5353
FLAGS = ("--ca", "--network", "test", "--dns")
DROPIN = "/etc/systemd/resolved.conf.d/pulse.conf"


@dataclass(frozen=True, slots=True)
class Home:
    """A machine with a node, which is called a, and the name server of the machine's network."""

    machine: Machine
    node: Node
    far: NameServer
    router: str
    """Where that one is."""
    near: str
    """The node's mesh address."""

    def resolves(self, name: str) -> str:
        """The address that any program of the machine finds for a name; empty if none."""
        found = self.machine.run(["getent", "ahostsv4", name], check=False)
        return found.stdout.split()[0] if found.stdout else ""

    def has_network(self) -> None:
        """As DHCP would: the network's name server answers all that nobody else does."""
        self.machine.run(["resolvectl", "dns", self.machine.ports[0].interface, self.router])

    def is_told(self) -> bool:
        """True if resolved has the node's server on the mesh's interface."""
        said = self.machine.resolvectl("status", "pulse0")
        return "127.0.0.1:5353" in said and "~pulse" in said and "-DefaultRoute" in said

    def wait_told(self) -> None:
        """Until it has."""
        wait_until(self.is_told, "resolved is told", PATIENCE)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    require_root()
    with Lab() as lab:
        machine, outside = Machine.on(lab["a"]), lab["b"]
        machine.start_resolved()
        with name_server(outside, FAR) as far:
            node = Node(machine)
            node.start(*FLAGS)
            made = Home(machine, node, far, str(outside.v4.ip), node.v4)
            made.has_network()
            yield made
            assert "ERROR" not in node.log


@pytest.fixture
def told(home: Home) -> Iterator[Home]:
    """Set up, and taken back at the end."""
    home.machine.pulse("setup", "dns")
    yield home
    home.machine.pulse("setup", "dns", "--undo", check=False)


def test_names_under_pulse_go_to_the_node_and_all_others_where_they_went(home: Home) -> None:
    before = home.machine.files("/etc")
    assert home.resolves("a.pulse") == FAR
    home.far.asked.clear()

    said = home.machine.pulse("setup", "dns").stdout
    home.machine.resolvectl("flush-caches")

    assert "systemd-resolved asks this node (127.0.0.1:5353) for names under .pulse, on pulse0 alone" in said
    assert "note:" not in said
    with overheard(home.machine, PORT) as asked:
        assert f"a.pulse: {home.near}" in home.machine.resolvectl("query", "-4", "a.pulse")
        assert [home.resolves(name) for name in ("db.a.pulse", "example.com")] == [home.near, FAR]
        assert home.resolves("nobody.pulse") == ""
    for address in (home.near, home.node.v6):
        assert f"{address}: a.pulse" in home.machine.resolvectl("query", address)
    assert home.machine.pulse("setup", "dns").stdout == said
    assert {name.rpartition(".")[2] for name in asked} == {"pulse"}
    assert set(home.far.asked) == {"example.com"}
    home.machine.pulse("setup", "dns", "--undo")
    home.machine.resolvectl("flush-caches")
    assert home.resolves("a.pulse") == FAR
    assert home.machine.files("/etc") == before


def test_it_is_told_again_when_resolved_forgot_or_the_interface_is_another(told: Home) -> None:
    told.machine.stop_resolved()
    shutil.rmtree(told.machine.path("/run/systemd/resolve/netif"))
    told.machine.popen(["systemd-resolved"])
    told.machine.wait_resolved()
    told.wait_told()

    told.machine.run(["resolvectl", "revert", "pulse0"])
    told.wait_told()

    told.machine.run(["ip", "link", "delete", "pulse0"])
    wait_until(lambda: not told.is_told(), "the interface is gone", PATIENCE)
    told.wait_told()

    assert told.resolves("again.a.pulse") == told.near


def test_a_stop_leaves_nothing_and_every_start_tells_it_until_it_is_taken_back(told: Home) -> None:
    told.node.stop()
    assert "5353" not in told.machine.resolvectl("dns")

    told.node.start(*FLAGS)
    told.wait_told()
    told.node.kill()
    assert "5353" not in told.machine.resolvectl("dns")

    told.node.start(*FLAGS)
    told.wait_told()
    assert "resolver put back resolver=systemd-resolved device=pulse0" in told.node.log

    told.machine.pulse("setup", "dns", "--undo")
    assert not told.is_told()
    again = told.node.tries("setup", "dns", "--undo")
    assert (again.code, "not asked of this node here" in again.stderr) == (4, True)


def test_for_the_whole_machine_it_is_one_file_which_the_undo_removes(home: Home) -> None:
    before = home.machine.files("/etc")

    for words in ("on the whole machine\n", "on the whole machine, as before\n"):
        assert words in home.machine.pulse("setup", "dns", "--global").stdout
    assert home.machine.path(DROPIN).stat().st_mode & 0o777 == 0o644
    assert home.machine.path(DROPIN).read_text().splitlines()[1:] == [
        "[Resolve]",
        "DNS=127.0.0.1:5353",
        "Domains=~pulse",
    ]
    home.has_network()
    assert [home.resolves(name) for name in ("global.a.pulse", "www.example.com")] == [home.near, FAR]

    home.machine.pulse("setup", "dns", "--undo", "--global")
    assert home.machine.files("/etc") == before
    assert "5353" not in home.machine.resolvectl("dns")
    assert home.node.tries("setup", "dns", "--undo", "--global").code == 4


def test_what_pulse_did_not_write_stays_and_servers_are_not_mixed(home: Home) -> None:
    home.machine.path(DROPIN).parent.mkdir()
    home.machine.write(DROPIN, "[Resolve]\nDNS=192.0.2.53\n")
    home.machine.restart_resolved()

    for flags in ((), ("--undo",)):
        refused = home.node.tries("setup", "dns", "--global", *flags)
        assert (refused.code, f"{DROPIN} is not what pulse wrote" in refused.stderr) == (4, True)

    home.machine.path(DROPIN).rename(home.machine.path(DROPIN).with_name("other.conf"))
    mixed = home.node.tries("setup", "dns", "--global")
    assert (mixed.code, "192.0.2.53" in mixed.stderr, "pulse setup dns" in mixed.stderr) == (4, True, True)
    assert not home.machine.sees(DROPIN)
    shutil.rmtree(home.machine.path(DROPIN).parent)
    home.machine.restart_resolved()


def test_who_is_not_root_is_told_to_be(home: Home) -> None:
    anybody = ["setpriv", "--reuid", "65534", "--clear-groups", *home.machine.pulse_command("setup", "dns", "--global")]

    refused = home.machine.run(anybody, check=False)

    assert (refused.code, refused.stderr) == (
        3,
        "error: what is set for the whole machine takes root. Type: sudo pulse setup dns --global\n",
    )


def test_a_machine_that_does_not_ask_resolved_is_told_so(told: Home) -> None:
    resolv_conf = told.machine.path("/etc/resolv.conf")
    stub = resolv_conf.readlink()
    resolv_conf.unlink()
    told.machine.write("/etc/resolv.conf", "nameserver 192.0.2.53\n")

    said = told.machine.pulse("setup", "dns").stdout

    assert "note: systemd-resolved runs, but programs here do not ask it" in said
    assert told.machine.path("/etc/resolv.conf").read_text() == "nameserver 192.0.2.53\n"
    resolv_conf.unlink()
    resolv_conf.symlink_to(stub)
