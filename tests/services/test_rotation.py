"""The CA's key is replaced by steps that are on disk first, are journaled once, and go on after a crash."""

import asyncio
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.facts import ChainShown, Fact
from pulse.core.mesh import Mesh
from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import first_config
from pulse.core.trust.authorities import chain_of, sign_succession
from pulse.core.trust.ca import Grant, make_authority
from pulse.core.trust.certificates import parse
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import build_csr
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.errors import Conflict, Refused
from pulse.services.publish import Publisher
from pulse.services.revoke import RevokeService
from pulse.services.roles import RolesService
from pulse.services.rotation import RotationElsewhere, RotationService
from pulse.store import authority
from pulse.store import rotation as store
from pulse.store.authority import HeldCa
from pulse.store.files import open_data_dir
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, NOW, key, node
from tests.mint import Latest


async def nobody(*_: object) -> bytes:
    raise AssertionError("nobody is asked")


class World:
    """A CA of its own, whose node is the whole mesh; `life` is one run of its daemon."""

    def __init__(self, place: Path) -> None:
        self.place = open_data_dir(place)
        self.now = 0.0
        authority.found(self.place, "mynet", MESH, NOW)
        issuer = authority.open_issuer(self.place)
        with authority.open_ledger(self.place, issuer) as ledger:
            self.me = parse(ledger.enrol_own(issuer, build_csr(key("me")), "me", now=NOW, serial=1))
        self.store = NetworkStore(self.place)
        self.store.save_roles(1, sign_roles(issuer.network, Roles(1), issuer.signer).data)
        revoked = sign_revocation(issuer.network, node("bad"), issuer.signer, time=NOW)
        self.store.save_revocation(node("bad"), revoked.data)
        self.store.save_config(0, 1, first_config(issuer.network, MESH, issuer.signer).data)

    def life(self) -> RotationService:
        """The daemon starts."""
        issuer = authority.open_issuer(self.place)
        self.held = HeldCa(issuer, authority.open_ledger(self.place, issuer))
        chain = chain_of(issuer.network, issuer.authorities, ()).merged(self.store.load_chain().statements)
        self.mesh = Mesh(self.me, key("me"), chain, Latest(), boot=1, version="1")
        for kind, data in (
            (ObjectKind.ROLES, self.store.load_roles().data),
            *((ObjectKind.REVOCATION, each) for each in self.store.load_revocations().objects),
            (ObjectKind.CONFIG, self.store.load_config().data),
        ):
            assert data is not None
            self.mesh.statements.restored(kind, data)
        publish = Publisher(self.store, lambda kind, data: void(self.mesh.object_made(kind, data, self.now)))
        cas = self.mesh.ca_nodes
        statements, members = self.mesh.statements, self.mesh.members
        revoke = RevokeService(self.me.node_id, key("me"), statements, members, cas, publish, self.held, nobody)
        roles = RolesService(
            *(statements, members, cas, publish, revoke.countersign, lambda: True, self.store.highest_roles, self.held)
        )
        rotation = RotationService(self.place, self.mesh, self.held, self.tell, (roles, revoke), lambda: None)
        rotation.restore()
        return rotation

    def tell(self, fact: Fact) -> None:
        assert isinstance(fact, ChainShown)
        self.mesh.happened(fact, self.now)
        self.store.save_chain(self.mesh.statements.chain.statements)

    def renew(self) -> None:
        """The CA's node gets a certificate under the key that signs now."""
        me = self.me
        grant = Grant(me.public_key, me.addresses, None, "me", (), True, NOW + 1, NOW + 1000)
        der = self.held.issuer.issue(grant, 77)
        self.held.ledger.take_in([parse(der)], NOW + 1)
        self.me = parse(der)
        self.mesh.members.certificate_seen(self.me)

    def told(self) -> list[str]:
        return [each.event for each in self.held.ledger.entries() if each.event.startswith("CA ")]


def void(_: object) -> None:
    """Nothing is told of it."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(clock, "wall", lambda: NOW + 2)
    return World(tmp_path / "data")


async def test_it_is_replaced_over_a_restart_at_every_step(world: World) -> None:
    rotation = world.life()
    first = world.held.issuer
    begun = await rotation.rotate()
    assert (begun.step, begun.number, begun.key) == ("introducing", 1, first.authority.ca_hash)
    with pytest.raises(Conflict, match="replaced already"):
        await rotation.rotate()

    rotation = world.life()
    rotation.look(now := asyncio.get_running_loop().time())
    rotation.look(now + 4)
    told = await rotation.status()
    assert (told.step, [each.name for each in told.awaited]) == ("renewing", ["me"])
    second = world.held.issuer
    assert second != first
    roles = world.mesh.statements.signed_roles
    assert roles is not None
    assert roles.signed_by == public_bytes(second.signer)
    assert [each.ca_number for each in world.mesh.statements.revocations()] == [1]
    assert world.held.ledger.revocations() == [each.data for each in world.mesh.statements.revocations()]

    rotation = world.life()
    assert world.held.issuer.authority == second.authority
    epoch = world.mesh.statements.roles.epoch
    world.renew()
    rotation.look(now)
    assert world.mesh.statements.roles.epoch == epoch, "what is signed by the new key is not signed again"
    rotation.look(now + 200)
    done = await rotation.status()
    assert (done.step, done.key, done.awaited) == ("done", second.authority.ca_hash, [])
    assert world.mesh.statements.authorities == (second.authority,)
    assert world.told() == ["CA key made", "CA signs with its next key", "CA key of before retired"]

    rotation = world.life()
    assert world.mesh.statements.config is not None, "the first config counts by the roles' word"
    assert world.mesh.statements.revoked() == {node("bad")}
    assert world.mesh.statements.authorities == (second.authority,)
    assert (await rotation.rotate()).number == 2, "and once more"


async def test_a_crash_right_after_a_step_leaves_nothing_of_it_undone(world: World) -> None:
    await world.life().rotate()
    store.sign_with_next_key(world.place)
    rotation = world.life()
    rotation.look(0.0)
    assert (await rotation.status()).step == "renewing"
    roles = world.mesh.statements.signed_roles
    assert roles is not None
    assert roles.signed_by == public_bytes(world.held.issuer.signer)
    assert world.told() == ["CA key made", "CA signs with its next key"]

    store.retire_key(world.place)
    rotation = world.life()
    rotation.look(0.0)
    assert (await rotation.status()).step == "done"
    assert world.told()[-1] == "CA key of before retired"
    assert world.mesh.statements.chain.retirement is not None


async def test_a_ca_from_too_old_a_backup_signs_nothing(world: World) -> None:
    rotation = world.life()
    issuer = world.held.issuer
    later = make_authority(key("later"), "mynet", NOW, 5, issuer.network.ca_hash)
    world.mesh.happened(ChainShown((sign_succession(issuer.network, issuer.signer, later),)), 0.0)
    with pytest.raises(Refused, match="newer backup"):
        rotation.check_current()
    with pytest.raises(Refused, match="newer backup"):
        await rotation.rotate()


async def test_a_ca_with_another_next_key_than_the_network_signs_nothing_and_says_so_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    rotation = world.life()
    issuer = world.held.issuer
    store.begin(world.place, issuer, NOW)
    later = make_authority(key("later"), "mynet", NOW, 5, issuer.network.ca_hash)
    world.tell(ChainShown((sign_succession(issuer.network, issuer.signer, later),)))
    rotation = world.life()
    for _ in range(2):
        with pytest.raises(Refused, match="replaced twice"):
            rotation.check_current()
    assert caplog.messages.count("CA key is not the network's") == 1


async def test_a_ca_that_may_sign_nothing_begins_nothing(world: World) -> None:
    rotation = world.life()

    def refuse() -> None:
        raise Refused("it listens yet")

    rotation.check = refuse
    with pytest.raises(Refused, match="listens"):
        await rotation.rotate()
    assert (await rotation.status()).step == "done"


async def test_what_keeps_it_is_logged_once(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulse.services.rotation.LOOK", 0.0)
    rotation = world.life()
    await rotation.rotate()
    looks = iter(["it listens yet", "it listens yet", "its clock leapt"])

    def refuse() -> None:
        reason = next(looks, None)
        if reason is None:
            raise asyncio.CancelledError
        raise Refused(reason)

    rotation.check = refuse
    with pytest.raises(asyncio.CancelledError):
        await rotation.run()
    assert [record.error for record in caplog.records if "not replaced" in record.message] == [  # type: ignore[attr-defined]
        "it listens yet", "its clock leapt",
    ]  # fmt: skip


async def test_elsewhere_it_is_said_where(world: World) -> None:
    world.life()
    elsewhere = RotationElsewhere(world.mesh.members, world.mesh.ca_nodes)
    for ask in (elsewhere.status, elsewhere.rotate):
        with pytest.raises(Refused, match=r"Run it on me"):
            await ask()
