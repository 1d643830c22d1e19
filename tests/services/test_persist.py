"""Persist service: what an earlier run knew comes back, judged like news; damage costs a word, not the start."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.effects import NOTHING as SHUT
from pulse.core.effects import (
    Dial,
    Effect,
    PolicyChanged,
    StoreConfig,
    StoreRevocation,
    StoreRoles,
    TablesChanged,
    TrustChanged,
)
from pulse.core.mesh import Mesh
from pulse.core.network.netconfig import Config, Settings, first_config, sign_config
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.errors import Damaged
from pulse.services.persist import ADDRESSES_KEPT, PersistService
from pulse.store import peers
from pulse.store.files import open_data_dir
from pulse.store.netconfig import NetworkStore
from pulse.store.peers import KnownPeer
from tests.authority import MESH, NOW, Ca, key
from tests.mint import link_up, member, mesh

CA, FOREIGN = Ca(), Ca("other ca")
ME, ALICE, BOB, SCRIBE = (member(CA, name, place) for place, name in enumerate(("me", "alice", "bob", "scribe"), 1))
HOME = "192.0.2.1:443"
NOTHING = [TablesChanged({}, ())]
"""What there is to do if nothing comes back."""

FIRST = first_config(CA.network, MESH, CA.key)
ROLES = sign_roles(CA.network, Roles(1, None, 0), CA.key)
BOB_IS_OUT = sign_revocation(CA.network, BOB.node_id, CA.key, time=NOW)


@dataclass
class Run:
    """One run of a node on a data directory."""

    data_dir: Path
    keep_peers: bool = True
    mesh: Mesh = field(default_factory=lambda: mesh(CA, ME))
    service: PersistService = field(init=False)

    def __post_init__(self) -> None:
        self.service = PersistService(self.data_dir, self.mesh, NetworkStore(self.data_dir), self.keep_peers)

    def meets(self, who: Certificate, *addresses: str) -> None:
        """A link with a peer that is seen at each of the addresses in turn."""
        for link, address in enumerate(addresses, 1):
            self.mesh.happened(link_up(who.node_id, link, observed=address, certificate=who.der), 0.0)

    def knows(self, who: Certificate) -> bool:
        return self.mesh.members.get(who.node_id) is not None


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


def dialled(effects: list[Effect]) -> list[str]:
    return [each.address for each in effects if isinstance(each, Dial)]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


# Signed objects


def test_signed_objects_come_back_and_are_not_stored_again(data_dir: Path) -> None:
    store = NetworkStore(data_dir)
    store.save_config(*FIRST.number, FIRST.data)
    store.save_roles(1, ROLES.data)
    store.save_revocation(BOB.node_id, BOB_IS_OUT.data)
    here = Run(data_dir)
    effects = here.service.restore(0.0)

    assert here.mesh.statements.mesh_cidr() == MESH
    assert here.mesh.statements.roles.epoch == 1
    assert here.mesh.statements.revoked() == {BOB.node_id}
    assert any(isinstance(each, TrustChanged) for each in effects)
    assert not any(isinstance(each, StoreConfig | StoreRoles | StoreRevocation) for each in effects)


def test_a_first_start_has_nothing_to_bring_back(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    here = Run(data_dir)

    assert here.service.restore(0.0) == NOTHING
    assert warnings(caplog) == []


def test_the_scribes_certificate_and_roles_come_before_the_config_it_signed(data_dir: Path) -> None:
    store = NetworkStore(data_dir)
    store.save_roles(2, sign_roles(CA.network, Roles(2, SCRIBE.node_id, 1), CA.key).data)
    store.save_config(1, 1, sign_config(CA.network, Config(1, 1, Settings("10.101.0.0/16")), key("scribe")).data)
    here = Run(data_dir)
    remember(data_dir, SCRIBE, HOME)
    here.service.restore(0.0)

    assert str(here.mesh.statements.mesh_cidr()) == "10.101.0.0/16"


def test_an_object_of_a_foreign_ca_is_left_out(data_dir: Path) -> None:
    NetworkStore(data_dir).save_config(0, 1, first_config(CA.network, MESH, FOREIGN.key).data)
    here = Run(data_dir)
    here.service.restore(0.0)

    assert here.mesh.statements.config is None


def test_a_damaged_config_falls_back_to_the_one_before_it_aloud(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = NetworkStore(data_dir)
    store.save_config(*FIRST.number, FIRST.data)
    store.save_config(0, 2, sign_config(CA.network, Config(0, 2, Settings("10.101.0.0/16")), CA.key).data)
    (data_dir / "network" / "config.0.2").write_bytes(b"torn")
    here = Run(data_dir)
    here.service.restore(0.0)

    assert here.mesh.statements.mesh_cidr() == MESH
    assert warnings(caplog) == ["stored object damaged, the one before it is used"]


def test_a_config_without_one_before_it_refuses_the_start_by_name(data_dir: Path) -> None:
    NetworkStore(data_dir).save_config(*FIRST.number, FIRST.data)
    damaged = data_dir / "network" / "config.0.1"
    damaged.write_bytes(b"torn")

    with pytest.raises(Damaged, match=str(damaged)):
        Run(data_dir).service.restore(0.0)


def test_a_damaged_revocation_keeps_its_node_out_aloud(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    NetworkStore(data_dir).save_revocation(BOB.node_id, BOB_IS_OUT.data)
    (data_dir / "network" / f"revoked.{BOB.node_id}").write_bytes(b"torn")
    remember(data_dir, BOB, HOME)
    here = Run(data_dir)
    effects = here.service.restore(0.0)

    assert here.mesh.statements.revoked() == {BOB.node_id}
    assert dialled(effects) == []
    assert warnings(caplog) == ["stored revocation damaged, its node stays out"]


# Peers


def remember(data_dir: Path, who: Certificate, *addresses: str) -> None:
    peers.save(data_dir, [KnownPeer(who.node_id, "somebody", list(addresses), who.der)])


def test_peers_of_one_run_are_dialled_by_the_next(data_dir: Path) -> None:
    earlier = Run(data_dir)
    earlier.meets(ALICE, HOME)
    earlier.service.save_peers()
    later = Run(data_dir)
    effects = later.service.restore(0.0)

    assert dialled(effects) == [HOME]
    assert later.knows(ALICE)


def test_we_are_no_peer_of_ours_and_a_peer_keeps_so_many_addresses(data_dir: Path) -> None:
    earlier = Run(data_dir)
    earlier.meets(ALICE, *(f"192.0.2.{number}:443" for number in range(1, 9)))
    earlier.service.save_peers()
    (known,), _ = peers.load(data_dir)

    assert known.node_id == ALICE.node_id
    assert 0 < len(known.addresses) <= ADDRESSES_KEPT


def test_a_damaged_peer_table_costs_a_warning(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    remember(data_dir, ALICE, HOME)
    (data_dir / "peers").write_bytes(b"torn")

    assert Run(data_dir).service.restore(0.0) == NOTHING
    assert warnings(caplog) == ["peer table starts empty"]


@pytest.mark.parametrize(
    "who",
    [
        member(FOREIGN, "alice", 2),
        member(CA, "alice", 2, not_after=NOW - 1),
        member(CA, "alice", 2, not_before=NOW + 3600),
    ],
    ids=["of a foreign CA", "ended", "not valid yet"],
)
def test_a_peer_whose_certificate_does_not_hold_is_left_out(data_dir: Path, who: Certificate) -> None:
    remember(data_dir, who, HOME)
    here = Run(data_dir)

    assert here.service.restore(0.0) == NOTHING
    assert not here.knows(who)


def test_a_node_that_woke_in_1970_finds_its_peers_again(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(data_dir, ALICE, HOME)
    monkeypatch.setattr(clock, "wall", lambda: 0.0)
    here = Run(data_dir)

    assert dialled(here.service.restore(0.0)) == [HOME]
    assert here.knows(ALICE)


def test_a_certificate_that_is_none_is_left_out(data_dir: Path) -> None:
    peers.save(data_dir, [KnownPeer(ALICE.node_id, "alice", [HOME], b"no certificate")])

    assert Run(data_dir).service.restore(0.0) == NOTHING


def test_a_revoked_peer_is_not_restored(data_dir: Path) -> None:
    NetworkStore(data_dir).save_revocation(BOB.node_id, BOB_IS_OUT.data)
    remember(data_dir, BOB, HOME)
    here = Run(data_dir)
    effects = here.service.restore(0.0)

    assert dialled(effects) == []
    assert not here.knows(BOB)


def test_without_persistence_nothing_is_written_or_read(data_dir: Path) -> None:
    forgetful = Run(data_dir, keep_peers=False)
    forgetful.meets(ALICE, HOME)
    forgetful.service.save_peers()
    assert not (data_dir / "peers").exists()

    remember(data_dir, ALICE, HOME)
    assert Run(data_dir, keep_peers=False).service.restore(0.0) == NOTHING


def test_a_disk_that_refuses_costs_a_warning(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    here = Run(data_dir)
    (data_dir / "peers").mkdir()
    here.service.save_peers()

    assert warnings(caplog) == ["peer table not written"]


@pytest.mark.parametrize("broken", ["objects_restored", "peer_restored", "tables"])
def test_what_breaks_the_mesh_when_it_is_brought_back_prevents_no_start(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    def breaks(*_: object) -> list[Effect]:
        raise KeyError("nobody foresaw this")

    NetworkStore(data_dir).save_roles(1, ROLES.data)
    remember(data_dir, BOB, HOME)
    here = Run(data_dir)
    monkeypatch.setattr(Mesh, broken, breaks)
    effects = here.service.restore(0.0)

    assert set(warnings(caplog)) == {"what was stored broke the mesh"}
    shut = PolicyChanged((SHUT,))
    assert (shut in effects) is (broken != "peer_restored"), "nobody can tell what its rules were"
