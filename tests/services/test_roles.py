"""Roles service: one node becomes the scribe by itself, and a claim cut short is finished by asking again."""

import dataclasses
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from pulse import clock
from pulse.core.messages import ObjectKind
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.roles import Role, Roles, SignedRoles, open_roles, sign_roles
from pulse.core.types import NodeId
from pulse.errors import NotFound, Refused, SystemRefused
from pulse.schemas.revoke import Revoked
from pulse.schemas.roles import GivenRole, NodeRole, RoleRequest
from pulse.services.roles import RolesService
from pulse.store.authority import HeldCa
from pulse.store.files import open_data_dir
from pulse.store.ledger import Ledger
from tests.authority import NOW, key, node, secret, token
from tests.services.office import CA, CAM, FIRST, HOME, KEEPER, RELAY, Office, fill_disk
from tests.store.ledgers import join

__all__ = ["fill_disk"]

TOKEN = token("plain")
OPERATOR, SCRIBE = RoleRequest("relay", "operator"), RoleRequest("relay", "scribe")


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.create(open_data_dir(tmp_path / "ca") / "ledger.sqlite", CA.network, NOW) as ledger:
        ledger.add_token(TOKEN)
        ledger.set_master(secret("master"), NOW)
        master = next(each for each in ledger.tokens() if each.is_master)
        join(ledger, "home", master)
        join(ledger, "relay", master)
        join(ledger, "cam-7", TOKEN)
        yield ledger


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path / "data")
    office.appoint(None)
    return office


@pytest.fixture
def service(ledger: Ledger, office: Office) -> RolesService:
    return at(office, HeldCa(CA.issuer, ledger))


def at(
    office: Office,
    ca: HeldCa | None,
    before: Callable[[Collection[NodeId]], None] = lambda _: None,
    *,
    linked: bool = True,
) -> RolesService:
    """The service of a node; `before` is called before another takes the scribe's place."""
    told = (office.publish, before, lambda: linked, office.store.highest_roles)
    return RolesService(office.statements, office.members, office.ca_nodes, *told, ca)


async def claimed(service: RolesService, who: Certificate) -> Roles:
    return open_roles(await service.claim(who.node_id, b""), CA.network, (CA.authority,)).roles


def claims(ledger: Ledger) -> list[object]:
    return [each.fields["node"] for each in ledger.entries() if each.event == "first scribe claimed"]


async def test_the_first_node_of_the_master_token_that_asks_is_the_scribe(
    service: RolesService, ledger: Ledger, office: Office
) -> None:
    roles = await claimed(service, HOME)

    assert roles == Roles(2, node("home"), 1, scribe_key=HOME.public_key)
    assert office.statements.roles == roles
    assert office.told == [ObjectKind.ROLES]
    assert claims(ledger) == [node("home")]
    assert office.store.load_roles().data == await service.claim(HOME.node_id, b"")


async def test_asking_again_gives_the_same_roles_and_no_other_line(
    service: RolesService, ledger: Ledger, office: Office
) -> None:
    assert await service.claim(HOME.node_id, b"") == await service.claim(HOME.node_id, b"")
    assert (claims(ledger), office.told) == ([node("home")], [ObjectKind.ROLES])


async def test_a_second_node_is_refused_and_hears_who_the_scribe_is(service: RolesService, office: Office) -> None:
    await service.claim(HOME.node_id, b"")

    with pytest.raises(Refused, match=rf"home \({HOME.node_id[:12]}\) is the scribe of this network already"):
        await service.claim(RELAY.node_id, b"")
    assert office.statements.roles.scribe == node("home")


async def test_who_joined_with_another_token_is_refused_in_words(
    service: RolesService, ledger: Ledger, office: Office
) -> None:
    with pytest.raises(Refused, match="joined with the CA's master token"):
        await service.claim(CAM.node_id, b"")
    assert (claims(ledger), office.told) == ([], [])


async def test_a_claim_that_died_between_ledger_and_disk_is_finished_by_asking_again(
    service: RolesService, ledger: Ledger, office: Office
) -> None:
    (office.place / "network").rename(office.place / "away")
    with pytest.raises(NotFound):
        await service.claim(HOME.node_id, b"")
    assert (claims(ledger), office.told) == ([node("home")], [])
    assert office.statements.roles.scribe is None

    (office.place / "away").rename(office.place / "network")
    with pytest.raises(Refused):
        await service.claim(RELAY.node_id, b"")
    assert (await claimed(service, HOME)).scribe == node("home")
    assert claims(ledger) == [node("home")]


# By a person


def journal(ledger: Ledger) -> list[tuple[str, object, object]]:
    """Roles given and taken, as the CA's journal has them."""
    entries = [each for each in ledger.entries() if each.event.startswith("role ")]
    return [(each.event, each.fields["node"], each.fields["role"]) for each in entries]


async def test_an_operator_is_made_and_unmade_and_the_journal_knows(
    service: RolesService, ledger: Ledger, office: Office
) -> None:
    office.appoint(HOME)
    given = await service.grant(OPERATOR)
    held = [(each.name, each.role) for each in given.roles]
    assert (await service.grant(OPERATOR)) == given
    taken = await service.ungrant(OPERATOR)

    assert held == [("keeper", "ca"), ("home", "scribe"), ("relay", "operator")]
    assert [each.role for each in taken.roles] == ["ca", "scribe"]
    assert journal(ledger) == [(what, RELAY.node_id, "operator") for what in ("role granted", "role taken")]
    assert office.statements.roles.operators == frozenset()


async def test_a_new_scribe_takes_the_place_of_the_old_one(ledger: Ledger, office: Office) -> None:
    office.appoint(HOME)
    epochs: list[int] = []
    service = at(office, HeldCa(CA.issuer, ledger), lambda _: epochs.append(office.statements.roles.scribe_epoch))
    found = await service.grant(SCRIBE)

    assert (office.statements.roles.scribe, office.statements.roles.scribe_key) == (RELAY.node_id, RELAY.public_key)
    assert (found.scribe_epoch, epochs) == (2, [1])


async def test_a_ca_that_is_cut_off_does_not_replace_the_scribe_unless_told_so(ledger: Ledger, office: Office) -> None:
    office.appoint(HOME)
    alone = at(office, HeldCa(CA.issuer, ledger), linked=False)

    with pytest.raises(Refused, match=r"linked with nobody.* home .*\n.*--force"):
        await alone.grant(SCRIBE)
    assert office.told == []
    await alone.grant(OPERATOR)
    await alone.grant(replace(SCRIBE, force=True))
    assert office.statements.roles.scribe == RELAY.node_id


async def test_a_role_of_a_node_that_is_gone_is_taken_by_its_id(
    service: RolesService, ledger: Ledger, office: Office
) -> None:
    await service.grant(RoleRequest("cam-7", "operator"))
    office.members.node_revoked(CAM.node_id)

    await service.ungrant(RoleRequest(CAM.node_id[:12], "operator"))
    assert office.statements.roles.operators == frozenset()


async def test_who_is_revoked_is_shown_so(service: RolesService, office: Office) -> None:
    await service.grant(RoleRequest("cam-7", "operator"))
    office.revoke(CAM)

    (row,) = [each for each in (await service.roles()).roles if each.role == "operator"]
    assert row == NodeRole(CAM.node_id, row.name, "operator", "revoked")


async def test_of_what_a_replaced_scribe_revoked_some_is_undone(ledger: Ledger, office: Office) -> None:
    office.appoint(HOME)
    reinstated: list[Collection[NodeId]] = []
    service = at(office, HeldCa(CA.issuer, ledger), reinstated.append)
    office.revoke(CAM, by="home")
    assert (await service.roles()).revoked_by_scribe == [Revoked(CAM.node_id, "cam-7", "scribe")]

    for words, of_whom in (([CAM.node_id[:3]], SCRIBE), (["cam-7"], SCRIBE), ([CAM.node_id, "nobody"], SCRIBE)):
        with pytest.raises(
            NotFound, match=r"is not the id of one node that the scribe in force revoked.\n.*pulse ca roles"
        ):
            await service.grant(replace(of_whom, reinstate=words))
    for wanted in (OPERATOR, RoleRequest("home", "scribe")):
        with pytest.raises(Refused, match="only when another scribe takes the place"):
            await service.grant(replace(wanted, reinstate=[CAM.node_id]))
    with pytest.raises(
        Refused, match=rf"revoked cam-7 \({CAM.node_id[:12]}\): say what holds.\n--keep-revoked .*--reinstate"
    ):
        await service.grant(SCRIBE)
    assert (office.told, reinstated) == ([], [])
    await service.grant(replace(SCRIBE, reinstate=[CAM.node_id[:12]]))

    assert reinstated == [{CAM.node_id}]
    assert (await service.roles()).revoked_by_scribe == []


async def test_a_node_that_is_not_there_gets_and_loses_nothing(service: RolesService, office: Office) -> None:
    for change in (service.grant, service.ungrant):
        with pytest.raises(NotFound, match="no node is called"):
            await change(RoleRequest("nobody", "operator"))
    assert office.told == []


def test_what_can_be_asked_for_is_what_the_ca_can_give() -> None:
    assert set(get_args(GivenRole)) == {role.value for role in Role}


async def test_anywhere_but_on_the_ca_it_is_named_and_roles_are_told(office: Office) -> None:
    office.appoint(HOME)
    elsewhere = at(office, None)

    for change in (elsewhere.grant, elsewhere.ungrant):
        with pytest.raises(Refused, match=rf"by the CA alone.\nRun it on keeper \({KEEPER.node_id[:12]}\)"):
            await change(OPERATOR)
    assert [each.name for each in (await elsewhere.roles()).roles] == ["keeper", "home"]


async def test_a_full_disk_is_an_error_and_told_to_nobody(
    service: RolesService, office: Office, fill_disk: Callable[[], None]
) -> None:
    fill_disk()
    with pytest.raises(SystemRefused):
        await service.grant(OPERATOR)

    assert (office.told, office.statements.roles.operators) == ([], frozenset())


async def test_a_ca_that_has_yet_to_hear_from_the_mesh_signs_no_roles(
    service: RolesService, office: Office, ledger: Ledger
) -> None:
    def refuse() -> None:
        raise Refused("put back from a backup")

    office.appoint(HOME, operators=frozenset({CAM.node_id}))
    waiting = dataclasses.replace(service, check=refuse)
    before = (office.statements.roles, len(ledger.entries()))
    for asked in (waiting.grant(OPERATOR), waiting.ungrant(RoleRequest("cam-7", "operator"))):
        with pytest.raises(Refused, match="from a backup"):
            await asked
    with pytest.raises(Refused, match="from a backup"):
        await waiting.claim(HOME.node_id, b"")
    assert (office.statements.roles, len(ledger.entries()), office.told) == (*before, [])


async def test_no_epoch_is_signed_twice_though_the_newest_roles_are_damaged(
    service: RolesService, office: Office
) -> None:
    office.store.save_roles(7, b"damaged by the disk")
    assert (await service.grant(SCRIBE)).epoch == 8
    office.store.save_roles(11, b"damaged by the disk")
    assert (await service.grant(RoleRequest("cam-7", "operator"))).epoch == 12
    office.store.save_roles(20, b"damaged by the disk")
    assert (await service.ungrant(RoleRequest("cam-7", "operator"))).epoch == 21


async def test_nor_is_it_for_a_claim(service: RolesService, office: Office) -> None:
    office.store.save_roles(7, b"damaged by the disk")
    assert (await claimed(service, HOME)).epoch == 8


# Roles that are damaged on the disk


def lose_roles(office: Office, epoch: int) -> None:
    """The disk had newer ones, which nobody can read."""
    office.store.save_roles(epoch, b"x")
    (office.place / "network" / f"roles.{epoch}").write_bytes(b"damaged")


async def test_after_damaged_roles_no_number_of_a_scribe_is_given_twice(office: Office, ledger: Ledger) -> None:
    office.appoint(HOME)
    lose_roles(office, office.statements.roles.epoch + 2)
    service = at(office, HeldCa(CA.issuer, ledger))
    before = office.statements.roles

    await service.grant(SCRIBE)

    roles = office.statements.roles
    assert (roles.epoch, roles.scribe_epoch) == (before.epoch + 3, before.scribe_epoch + 3)
    assert roles.base == (*FIRST.number, FIRST.sha256)


async def test_after_damaged_roles_a_scribe_that_stays_signs_anew_under_a_number_of_its_own(
    office: Office, ledger: Ledger
) -> None:
    office.appoint(HOME)
    lose_roles(office, office.statements.roles.epoch + 1)
    countersigned: list[bool] = []
    service = at(office, HeldCa(CA.issuer, ledger), lambda _: countersigned.append(True))

    await service.grant(OPERATOR)

    roles = office.statements.roles
    assert (roles.scribe, roles.scribe_epoch, roles.operators) == (HOME.node_id, 3, frozenset({RELAY.node_id}))
    assert roles.base == (*FIRST.number, FIRST.sha256)
    assert countersigned, "what it revoked under the number before counts on"


async def test_after_damaged_roles_another_key_of_the_ca_keeps_what_the_scribe_revoked(
    office: Office, ledger: Ledger
) -> None:
    office.appoint(HOME)
    lose_roles(office, office.statements.roles.epoch + 1)
    done: list[object] = []

    class Published:
        def roles(self, signed: SignedRoles) -> None:
            done.append(signed.roles.scribe_epoch)

    service = at(office, HeldCa(dataclasses.replace(CA.issuer, signer=key("next")), ledger), done.append)
    dataclasses.replace(service, publish=Published()).resign()

    assert done == [(), office.statements.roles.scribe_epoch + 2]


async def test_damaged_roles_are_waited_for_by_a_ca_that_is_linked_with_nobody(office: Office, ledger: Ledger) -> None:
    office.appoint(HOME)
    lose_roles(office, office.statements.roles.epoch + 1)
    service = at(office, HeldCa(CA.issuer, ledger), linked=False)
    before = office.statements.roles

    with pytest.raises(Refused, match=r"damaged on this disk(.|\n)*Any neighbour has them.*--force"):
        await service.grant(OPERATOR)
    assert (office.statements.roles, office.told) == (before, [])

    await service.grant(replace(OPERATOR, force=True))
    assert office.statements.roles.scribe_epoch == before.scribe_epoch + 2


async def test_a_scribe_that_waits_for_a_config_nobody_has_goes_on_by_force(office: Office, ledger: Ledger) -> None:
    lost = (3, 9, bytes(32))
    roles = Roles(office.statements.roles.epoch + 1, RELAY.node_id, 4, scribe_key=RELAY.public_key, base=lost)
    office.hear(sign_roles(CA.network, roles, CA.key).data)
    service = at(office, HeldCa(CA.issuer, ledger))

    await service.grant(SCRIBE)
    assert office.statements.roles == roles, "without force it waits"

    await service.grant(replace(SCRIBE, force=True))
    after = office.statements.roles
    assert (after.scribe, after.scribe_epoch, after.base) == (RELAY.node_id, 5, (*FIRST.number, FIRST.sha256))
    await service.grant(replace(SCRIBE, force=True))
    assert office.statements.roles == after, "it lacks nothing any more"


async def test_an_operator_unmade_after_damaged_roles_loses_none_of_what_the_scribe_revoked(
    office: Office, ledger: Ledger
) -> None:
    office.appoint(HOME, operators=frozenset({RELAY.node_id}))
    lose_roles(office, office.statements.roles.epoch + 1)
    countersigned: list[Collection[NodeId]] = []

    await at(office, HeldCa(CA.issuer, ledger), countersigned.append).ungrant(OPERATOR)

    roles = office.statements.roles
    assert (roles.scribe, roles.scribe_epoch, roles.operators) == (HOME.node_id, 3, frozenset())
    assert countersigned == [()]
