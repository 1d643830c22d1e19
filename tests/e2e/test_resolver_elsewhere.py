"""`pulse setup dns` without systemd-resolved: by openresolv where that can split names, else by a hint."""

from collections.abc import Iterator

import pytest

from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from tests.e2e.machine import Machine
from tests.e2e.mesh import PATIENCE, Node
from tests.e2e.nameserver import overheard
from tests.namespace import require_root

PORT = 5353
RECORD = "/run/resolvconf/interfaces/pulse0"
CONFIG = "/run/dnsmasq.conf"


@pytest.fixture
def machine() -> Iterator[Machine]:
    require_root()
    with Lab() as lab:
        yield Machine.on(lab["a"])


def name_servers(machine: Machine) -> list[str]:
    lines = machine.path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("nameserver")]


def test_openresolv_splits_names_and_what_a_crash_left_is_swept(machine: Machine) -> None:
    machine.start_openresolv()
    node, listen = Node(machine), f":{PORT}"
    node.start("--ca", "--network", "test", "--dns", "--dns-listen", listen)
    server = node.v4
    before = machine.path(CONFIG).read_text()
    with overheard(machine, PORT) as asked:
        said = machine.pulse("setup", "dns").stdout

        assert f"openresolv asks this node ({server}:{PORT}) for names under .pulse" in said
        assert f"server=/pulse/{server}#{PORT}" in machine.path(CONFIG).read_text()
        wait_until(lambda: machine.run(["getent", "ahostsv4", "a.pulse"], check=False).stdout, "it answers", PATIENCE)
        machine.run(["getent", "ahostsv4", "example.com"], check=False)
    assert {name.rpartition(".")[2] for name in asked} == {"pulse"}
    assert name_servers(machine) == ["nameserver 127.0.0.1"]

    node.stop()
    assert not machine.sees(RECORD)
    assert machine.path(CONFIG).read_text() == before
    node.start("--dns", "--dns-listen", listen)
    wait_until(lambda: machine.sees(RECORD), "it is told at the start", PATIENCE)

    node.kill()
    assert machine.sees(RECORD)
    node.start()
    put_back = "resolver put back resolver=openresolv device=pulse0"
    wait_until(lambda: put_back in node.log, "it is swept", PATIENCE)
    assert not machine.sees(RECORD)
    assert machine.path(CONFIG).read_text() == before
    assert "does not ask for names under .pulse: this node answers no DNS" in node.status().sentence
    for told in (node.tries("setup", "dns"), node.tries("setup", "dns", "--global")):
        assert (told.code, "enabled = true under [dns] in its config.toml, then pulse restart" in told.stderr) == (
            4,
            True,
        )


def test_elsewhere_it_says_what_to_type(machine: Machine) -> None:
    machine.write("/etc/resolv.conf", "nameserver 192.0.2.53\n")
    before = machine.files("/etc")
    machine.pulse("start", "--ca", "--network", "test", "--addr", ":8443", "--dns")

    hint, no_resolved = (machine.pulse("setup", "dns", *flags, check=False) for flags in ((), ("--global",)))

    assert (hint.code, "neither systemd-resolved nor openresolv runs here" in hint.stderr) == (6, True)
    assert "server=/pulse/127.0.0.1#5353" in hint.stderr
    assert (no_resolved.code, "systemd-resolved does not run here" in no_resolved.stderr) == (6, True)
    assert machine.files("/etc") == before
