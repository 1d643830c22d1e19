"""The CA's key is replaced by steps that are on disk first, are journaled once, and go on after a crash."""

import asyncio
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.facts import ChainShown, Fact
from pulse.core.mesh import Mesh
from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import first_config
from pulse.core.trust.authorities import chain_of, sign_succession
from pulse.core.trust.ca import Grant, make_authority
from pulse.core.trust.certificates import Certificate, parse, verify
from pulse.core.trust.identity import mesh_v6, public_bytes
from pulse.core.trust.join import Floors, build_csr
from pulse.core.trust.renew import build_renewal
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.trust.rotation import ALONE
from pulse.core.types import MeshAddresses
from pulse.errors import Conflict, NotFound, Refused
from pulse.schemas.cert import RotationWithout
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
        self.known: list[Certificate] = []
        """Of other nodes, which the mesh knows after a restart as well."""
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
        for each in self.known:
            members.certificate_seen(each)
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

    def joined(self, name: str, *, met: bool = True) -> Certificate:
        """Another node has a certificate under the key that signs now; `met` says that the mesh knows it."""
        public, address = public_bytes(key(name)), IPv4Address("10.100.9.9")
        addresses = MeshAddresses(address, mesh_v6(self.me.network, node(name)))
        grant = Grant(public, addresses, name, name, (), False, NOW - 1, NOW + 1000)
        der = self.held.issuer.issue(grant, int(node(name)[:8], 16))
        self.held.ledger.take_in([certificate := parse(der)], NOW)
        if met:
            self.mesh.members.certificate_seen(certificate)
            self.known.append(certificate)
        return certificate

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


# Nodes that do not follow


async def test_it_goes_on_without_a_node_over_a_restart_at_every_step_and_says_so_once(world: World) -> None:
    rotation = world.life()
    old = world.joined("bob")
    await rotation.rotate()

    told = await rotation.go_on_without(RotationWithout(["bob"]))
    assert (told.step, [each.name for each in told.without]) == ("introducing", ["bob"])
    rotation = world.life()
    rotation.look(now := asyncio.get_running_loop().time())
    rotation.look(now + 4)
    world.renew()
    told = await rotation.status()
    assert (told.step, told.awaited) == ("renewing", [])
    assert [(each.id, each.until) for each in told.without] == [(node("bob"), old.not_after)]

    rotation = world.life()
    rotation.look(now)
    rotation.look(now + 200)
    told = await rotation.status()
    assert (told.step, told.without) == ("done", ()), "though its certificate under the old key is good yet"
    assert [each for each in world.told() if "without" in each] == ["CA key goes on without a node"]
    with pytest.raises(Refused, match="is not signed by the CA"):
        verify(old, world.mesh.statements.authorities, None)
    request = build_renewal(old, bytes(16), key("bob"))
    renewed = world.held.ledger.renew(world.held.issuer, request, now=NOW + 2, floors=Floors())
    assert renewed.is_new, "it may still take the new key and renew"


async def test_all_others_are_waited_for_as_before(world: World) -> None:
    rotation = world.life()
    for name in ("bob", "carol"):
        world.joined(name)
    await rotation.rotate()
    rotation.look(now := asyncio.get_running_loop().time())
    for second in (ALONE, ALONE + 4):
        rotation.look(now + second)
    world.renew()
    told = await rotation.go_on_without(RotationWithout(["bob"]))
    assert [each.name for each in told.awaited] == [world.mesh.members.label_of(node("carol"))]
    rotation.look(now + ALONE + 1000)
    assert (await rotation.status()).step == "renewing"
    whole = RotationWithout([node("carol")[:12]])
    assert (await rotation.go_on_without(whole)).awaited == []


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ("me", Refused, "is the CA itself"),
        ("nobody", NotFound, "See the nodes: pulse status"),
        ("", NotFound, "no node"),
    ],
)
async def test_whom_nobody_could_go_on_without_is_refused_and_then_no_other_is_given_up(
    world: World, wanted: str, error: type[Exception], words: str
) -> None:
    rotation = world.life()
    world.joined("bob")
    await rotation.rotate()
    with pytest.raises(error, match=words):
        await rotation.go_on_without(RotationWithout(["bob", wanted]))
    assert (await rotation.status()).without == ()


async def test_who_joined_and_never_came_is_given_up_by_the_digits_of_its_id(world: World) -> None:
    rotation = world.life()
    world.joined("bob", met=False)
    await rotation.rotate()
    rotation.look(now := asyncio.get_running_loop().time())
    for second in (ALONE, ALONE + 4):
        rotation.look(now + second)
    assert (await rotation.status()).step == "renewing"
    with pytest.raises(NotFound):
        await rotation.go_on_without(RotationWithout([node("bob")[:3]]))
    told = await rotation.go_on_without(RotationWithout([node("bob")[:4]]))
    assert [each.id for each in told.without] == [node("bob")]


async def test_nobody_is_given_up_while_no_key_is_replaced_or_the_ca_may_sign_nothing(world: World) -> None:
    rotation = world.life()
    world.joined("bob")
    with pytest.raises(Conflict, match="pulse ca rotate"):
        await rotation.go_on_without(RotationWithout(["bob"]))
    await rotation.rotate()

    def refuse() -> None:
        raise Refused("it listens yet")

    rotation.check = refuse
    with pytest.raises(Refused, match="listens"):
        await rotation.go_on_without(RotationWithout(["bob"]))
    assert (await rotation.status()).without == ()


async def test_who_is_reached_for_hours_and_does_not_follow_is_a_fault_until_it_does_or_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pulse.core.trust.rotation.OVERDUE", 20.0)
    monkeypatch.setattr("pulse.core.paths.routing.Routing.path_to", lambda *_: "a path")
    rotation = world.life()
    names = ("bob", "carol", "dave", "erin", "frank")
    for name in names:
        world.joined(name)
    await rotation.rotate()
    now = asyncio.get_running_loop().time()
    for second in (0, 10, 19):
        rotation.look(now + second)
    assert rotation.problem == ""
    rotation.look(now + 20)
    rotation.look(now + 21)

    what, fix = rotation.problem.splitlines()
    assert what.endswith("and 2 more was reached for hours and has not told that it knows the new key")
    first = sorted(names, key=node)[0]
    assert fix == f"start it again there; to go on without it: pulse ca rotate --without {first}"
    assert all(each.overdue for each in (await rotation.status()).awaited)
    assert sum("keeps the CA's key" in each for each in caplog.messages) == len(names), "once each"

    await rotation.go_on_without(RotationWithout([*names]))
    assert rotation.problem == ""
    rotation.look(now + 25)
    world.renew()
    assert (await rotation.status()).step == "renewing"


async def test_elsewhere_it_is_said_where(world: World) -> None:
    world.life()
    elsewhere = RotationElsewhere(world.mesh.members, world.mesh.ca_nodes)
    for ask in (elsewhere.status, elsewhere.rotate, lambda: elsewhere.go_on_without(RotationWithout(["me"]))):
        with pytest.raises(Refused, match=r"Run it on me"):
            await ask()
