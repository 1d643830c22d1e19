"""The CA's key is replaced under traffic, with the CA killed on the way, and who was away comes back.

Invariant: no packet is lost to it, and nothing under the old key is taken at its end.
"""

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse import clock
from pulse.calls.ca import CaCalls
from pulse.client import connect
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import HostPlan, NetworkPlan, Plan
from pulse.schemas.cert import CaRotation
from pulse.store import identity
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_mesh
from tests.namespace import require_root

NAMES = ("ca", "one", "other", "away", "new")
LIFE = 48
"""Seconds that certificates live: all links show a new one within 2 s."""

EVERY = 0.01
"""Seconds between pings."""


def settle(data_dir: Path) -> None:
    """Tell the CA of that directory how long its certificates live."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data_dir / "config.toml").write_text(f"[ca]\ncert_life = {LIFE}\n", encoding="utf-8")


def rotation(ca: Node) -> CaRotation:
    with connect(ca.host.data) as client:
        return CaCalls(client).ca_rotation()


def wait_step(ca: Node, step: str) -> CaRotation:
    wait_until(lambda: rotation(ca).step == step, f"the CA is {step}", PATIENCE)
    return rotation(ca)


def killed(ca: Node) -> None:
    """The CA is killed and started again."""
    ca.kill()
    ca.start("--ca")


def events(ca: Node) -> list[str]:
    with connect(ca.host.data) as client:
        return [entry.event for entry in CaCalls(client).ca_log(0)]


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    require_root()
    with Lab(Plan(hosts={name: HostPlan() for name in NAMES}, networks=(NetworkPlan(NAMES),))) as lab:
        settle(lab["ca"].data)
        yield bring_up_mesh(lab, dict.fromkeys(NAMES[1:-1], "ca"))


def test_the_cas_key_is_replaced_and_nobody_notices(mesh: Mesh) -> None:
    ca, one, other, away = (mesh[name] for name in NAMES[:-1])
    invite = ca.host.pulse("invite").stdout.split()[-1]
    backup = str(ca.host.directory / "old.backup")
    ca.host.pulse("ca", "backup", backup)
    key, before = (ca.host.data / "ca/key").read_bytes(), rotation(ca).key
    away.stop()
    held = away.host.data / "identity"
    shutil.copytree(held, old := away.host.directory / "old")
    assert ca.tries("ca", "rotate").code == 2, "a script has to say --yes"
    assert "Run it on ca" in one.tries("ca", "rotate", "--yes").stderr

    pinging = one.host.popen(["ping", "-i", str(EVERY), other.v4])
    assert "1 of 3" in ca.host.pulse("ca", "rotate", "--yes").stdout
    assert "replaced already" in ca.tries("ca", "rotate", "--yes").stderr
    killed(ca)
    wait_step(ca, "renewing")
    killed(ca)
    wait_until(lambda: [each.name for each in rotation(ca).awaited] == ["away"], "all others renewed", PATIENCE)
    away.start()
    away.wait_reaches(one)
    after = wait_step(ca, "done").key
    pinging.stop(signal.SIGINT)
    answered = [int(seq) for seq in re.findall(r"icmp_seq=(\d+)", pinging.text())]
    assert sorted(answered) == [*range(1, max(answered) + 1)], "none is lost; one may be under way at the end"

    assert after != before
    assert key not in [path.read_bytes() for path in (ca.host.data / "ca").iterdir()], "the old key is gone"
    told = events(ca)
    assert [each for each in told if each.startswith("CA ")] == [
        "CA key made", "CA signs with its next key", "CA key of before retired",
    ]  # fmt: skip
    new = mesh.lab["new"]
    new.pulse("join", invite)
    assert identity.load(new.data).certificate.network.ca_hash == before, "the network is the same one"

    away.stop()
    shutil.rmtree(held)
    old.rename(held)
    under_old = identity.load(away.host.data).certificate
    away.start()

    def refused() -> bool:
        """Or on a slow machine its time was over, so that it asked for the next one before it showed it."""
        said = "not signed by a trusted CA" in one.log + ca.log + other.log
        return said or identity.load(away.host.data).certificate != under_old

    wait_until(refused, "it is refused", PATIENCE)
    away.wait_reaches(one)
    assert identity.load(away.host.data).authorities[0] == identity.load(one.host.data).authorities[0]
    assert mesh.errors == []
    assert "hold" in ca.host.pulse("ca", "log", "--verify").stdout
    a_ca_from_before_does_nothing_and_harms_nobody(mesh, backup)


def a_ca_from_before_does_nothing_and_harms_nobody(mesh: Mesh, backup: str) -> None:
    """It was put back from a backup taken before its key was replaced."""
    ca, one, other = (mesh[name] for name in NAMES[:3])
    roles, node = one.host.pulse("ca", "roles", "--json").stdout, other.status().node.id
    ca.stop()
    assert "rm -r" in ca.host.pulse("ca", "restore", backup, "--force").stdout
    ca.start("--ca")

    asked = (("ca", "grant", "one", "operator"), ("revoke", "--node", node), ("ca", "rotate", "--yes"))
    wait_until(
        lambda: "newer backup" in ca.tries(*asked[0]).stderr, "it sees that the network's key is later", PATIENCE
    )
    for each in asked:
        tried = ca.tries(*each)
        assert (tried.code, "newer backup: pulse ca restore <file> --force" in tried.stderr) == (3, True), tried
    late = ca.host.directory / "late"
    command = mesh.lab["new"].pulse_command("join", mesh["one"].way_to(ca), "--token", ca.token())[:-2]
    joining = mesh.lab["new"].run([*command, "--data-dir", str(late)], check=False)
    assert (joining.code, "a backup older than the network's key" in joining.stderr) == (3, True), joining
    assert not (late / "identity").exists()

    assert one.host.pulse("ca", "roles", "--json").stdout == roles
    ends = min(identity.load(each.host.data).certificate.not_after for each in (one, other))
    # On a slow machine their certificates may be over by now, with nobody there to renew them.
    assert one.has_path(other) or ends <= clock.wall()
    assert mesh.errors == []
