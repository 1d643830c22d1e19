"""Roles service: one node becomes the scribe by itself, and a claim cut short is finished by asking again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.messages import ObjectKind
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.roles import Roles, open_roles
from pulse.errors import NotFound, Refused
from pulse.services.roles import RolesService
from pulse.store.files import open_data_dir
from pulse.store.ledger import Ledger
from tests.authority import NOW, node, secret, token
from tests.services.office import CA, CAM, HOME, RELAY, Office
from tests.store.ledgers import join

TOKEN = token("plain")


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
    return RolesService(ledger, CA.issuer, office.statements, office.publish, office.members.label_of)


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
