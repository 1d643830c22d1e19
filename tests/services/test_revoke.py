"""Revoke service: signed where it may be, durable, known to the ledger; refused elsewhere with where to go."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.messages import ObjectKind, Wire, pack
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.revocation import BY_CA, sign_revocation
from pulse.core.types import NodeId
from pulse.errors import Conflict, LinkError, NotFound, ProtocolError, Refused, SystemRefused
from pulse.schemas.revoke import Revoked, RevokeRequest
from pulse.services.revoke import RevokeService
from pulse.store.authority import HeldCa
from pulse.store.files import open_data_dir
from pulse.store.ledger import Ledger
from tests.authority import NOW, key, node
from tests.services.office import CA, CAM, HOME, KEEPER, RELAY, Office, fill_disk

__all__ = ["fill_disk"]


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.create(open_data_dir(tmp_path / "ca") / "ledger.sqlite", CA.network, NOW) as ledger:
        yield ledger


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path / "data")
    office.appoint(HOME)
    return office


def service(office: Office, who: Certificate, name: str, ledger: Ledger | None = None) -> RevokeService:
    ca = None if ledger is None else HeldCa(CA.issuer, ledger)

    async def call(*asked: object) -> bytes:
        raise AssertionError(f"{name} has nobody to ask: {asked}")

    return RevokeService(
        who.node_id, key(name), office.statements, office.members, office.ca_nodes, office.publish, ca, call
    )


@pytest.fixture
def at_the_ca(office: Office, ledger: Ledger) -> RevokeService:
    return service(office, KEEPER, "keeper", ledger)


@pytest.fixture
def at_the_scribe(office: Office) -> RevokeService:
    return service(office, HOME, "home")


async def test_the_ca_revokes_with_its_own_key_and_its_ledger_knows(
    at_the_ca: RevokeService, office: Office, ledger: Ledger
) -> None:
    assert await at_the_ca.revoke(RevokeRequest("cam-7")) == Revoked(CAM.node_id, "cam-7", "ca")
    (revocation,) = office.statements.revocations()

    assert (revocation.node, revocation.scribe_epoch, revocation.time) == (CAM.node_id, BY_CA, NOW)
    assert office.store.load_revocations().objects == (revocation.data,)
    assert ledger.revocations() == [revocation.data]
    assert [each.fields for each in ledger.entries() if each.event == "node revoked"] == [{"node": CAM.node_id}]
    assert office.told == [ObjectKind.REVOCATION]


async def test_a_ca_whose_key_was_replaced_revokes_nobody(at_the_ca: RevokeService, office: Office) -> None:
    def refuse() -> None:
        raise Refused("put back a newer backup")

    with pytest.raises(Refused, match="newer backup"):
        await replace(at_the_ca, check=refuse).revoke(RevokeRequest("cam-7"))
    assert office.told == []


async def test_the_scribe_revokes_under_its_epoch(at_the_scribe: RevokeService, office: Office) -> None:
    assert await at_the_scribe.revoke(RevokeRequest(CAM.node_id[:8])) == Revoked(CAM.node_id, "cam-7", "scribe")
    assert [each.scribe_epoch for each in office.statements.revocations()] == [1]


async def test_any_other_node_names_where_to_type_it(office: Office) -> None:
    with pytest.raises(Refused, match="neither the CA nor the scribe") as refused:
        await service(office, RELAY, "relay").revoke(RevokeRequest("cam-7"))
    assert f"home ({HOME.node_id[:12]})" in str(refused.value)
    assert f"keeper ({KEEPER.node_id[:12]})" in str(refused.value)
    assert office.told == []


async def test_a_scribe_that_was_replaced_revokes_nobody(at_the_scribe: RevokeService, office: Office) -> None:
    office.appoint(RELAY, 2)
    with pytest.raises(Refused, match=r"Run it on .*relay"):
        await at_the_scribe.revoke(RevokeRequest("cam-7"))


async def test_the_scribe_revokes_neither_the_ca_nor_itself(at_the_scribe: RevokeService, office: Office) -> None:
    with pytest.raises(Refused, match="CA's own node"):
        await at_the_scribe.revoke(RevokeRequest("keeper"))
    with pytest.raises(Refused, match="last scribe"):
        await at_the_scribe.revoke(RevokeRequest("home"))
    with pytest.raises(Refused, match="on the CA only"):
        await at_the_scribe.revoke(RevokeRequest("home", force=True))
    assert office.told == []


@pytest.mark.parametrize("who", [KEEPER, HOME])
async def test_the_last_ca_and_the_last_scribe_go_by_force_only(
    at_the_ca: RevokeService, office: Office, who: Certificate
) -> None:
    with pytest.raises(Refused, match=f"pulse revoke --node {who.node_id[:12]} --force"):
        await at_the_ca.revoke(RevokeRequest(who.node_id))
    assert office.told == []

    await at_the_ca.revoke(RevokeRequest(who.node_id, force=True))
    assert office.statements.revoked() == {who.node_id}


async def test_who_is_revoked_already_is_a_conflict_however_it_is_called(
    at_the_ca: RevokeService, office: Office
) -> None:
    await at_the_ca.revoke(RevokeRequest("cam-7"))
    office.members.node_revoked(CAM.node_id)

    for text in (CAM.node_id, CAM.node_id[:6]):
        with pytest.raises(Conflict, match=f"{CAM.node_id[:12]}.* is revoked already"):
            await at_the_ca.revoke(RevokeRequest(text))


async def test_a_whole_id_is_taken_at_its_word_and_less_is_not(at_the_ca: RevokeService, office: Office) -> None:
    assert (await at_the_ca.revoke(RevokeRequest(node("never met").upper()))).id == node("never met")
    with pytest.raises(NotFound) as refused:
        await at_the_ca.revoke(RevokeRequest("no\x1bbody"))
    assert "\x1b" not in str(refused.value)


async def test_a_full_disk_is_an_error_and_told_to_nobody(
    at_the_ca: RevokeService, office: Office, fill_disk: Callable[[], None]
) -> None:
    fill_disk()
    with pytest.raises(SystemRefused, match="No space left"):
        await at_the_ca.revoke(RevokeRequest("cam-7"))
    assert (office.told, office.statements.revoked()) == ([], frozenset())


def test_what_the_mesh_knows_goes_into_the_ledger_once(
    at_the_ca: RevokeService, office: Office, ledger: Ledger
) -> None:
    heard = sign_revocation(CA.network, CAM.node_id, key("home"), scribe_epoch=1, time=NOW)
    office.hear(heard.data)
    at_the_ca.catch_up()
    at_the_ca.catch_up()

    assert ledger.revocations() == [heard.data]
    assert [each.event for each in ledger.entries()].count("node revoked") == 1


def test_what_only_the_ledger_knows_goes_out_to_the_mesh(
    at_the_ca: RevokeService, office: Office, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.revoke_node(CAM.node_id, sign_revocation(CA.network, CAM.node_id, CA.key, time=NOW).data, NOW)
    ledger.revoke_node(RELAY.node_id, b"no revocation at all", NOW)
    at_the_ca.restore()
    at_the_ca.restore()

    assert office.statements.revoked() == {CAM.node_id}
    assert office.told.count(ObjectKind.REVOCATION) == 3
    assert [each.getMessage() for each in caplog.records] == ["stored object left out"] * 2


def test_elsewhere_there_is_no_ledger_to_keep_in_step(at_the_scribe: RevokeService, office: Office) -> None:
    at_the_scribe.catch_up()
    at_the_scribe.restore()
    assert office.told == []


# For operators


class Digested(Wire, frozen=True):
    """The body of the RPC."""

    node: bytes


class Operator:
    """The node `relay`, an operator, and the scribe it asks."""

    def __init__(self, office: Office, scribe: RevokeService) -> None:
        self.scribe = scribe
        self.reachable = True
        self.service = replace(service(office, RELAY, "relay"), call=self.call)
        office.appoint(HOME, operators=frozenset({RELAY.node_id}))

    async def call(self, who: NodeId, method: str, body: bytes, _: float) -> bytes:
        assert (who, method) == (HOME.node_id, "revoke")
        if not self.reachable:
            raise LinkError("no link leads there")
        return await self.scribe.answer(RELAY.node_id, body)


@pytest.fixture
def operator(office: Office, at_the_scribe: RevokeService) -> Operator:
    return Operator(office, at_the_scribe)


async def test_an_operator_has_the_scribe_do_it(operator: Operator, office: Office) -> None:
    assert await operator.service.revoke(RevokeRequest("cam-7")) == Revoked(CAM.node_id, "cam-7", "scribe")
    assert office.statements.revoked() == {CAM.node_id}


async def test_what_the_scribe_may_not_an_operator_may_not(operator: Operator, office: Office) -> None:
    with pytest.raises(Refused, match="CA's own node"):
        await operator.service.revoke(RevokeRequest("keeper"))
    with pytest.raises(Refused, match="on the CA only"):
        await operator.service.revoke(RevokeRequest("cam-7", force=True))
    assert office.statements.revoked() == frozenset()


async def test_a_scribe_out_of_reach_is_named_and_who_else_can_do_it(operator: Operator) -> None:
    operator.reachable = False
    with pytest.raises(LinkError, match=r"home \(.*gave no answer: no link leads there") as failed:
        await operator.service.revoke(RevokeRequest("cam-7"))
    assert f"keeper ({KEEPER.node_id[:12]})" in str(failed.value)


async def test_the_scribe_takes_no_word_of_who_is_no_operator(operator: Operator, office: Office) -> None:
    office.appoint(HOME, 2)
    body = pack(Digested(bytes.fromhex(CAM.node_id)))
    with pytest.raises(Refused, match=r"relay .* is no operator here"):
        await operator.scribe.answer(RELAY.node_id, body)
    with pytest.raises(ProtocolError):
        await operator.scribe.answer(KEEPER.node_id, b"\xc1")
    assert office.statements.revoked() == frozenset()


async def test_an_operator_revokes_no_id_that_nobody_bears(operator: Operator, office: Office) -> None:
    with pytest.raises(Refused, match=r"(?s)knows no node abababababab.*Run it on"):
        await operator.service.revoke(RevokeRequest("ab" * 32))
    assert office.statements.revoked() == frozenset()


async def test_an_operators_word_is_the_scribes_where_the_ca_is_the_scribe(office: Office, ledger: Ledger) -> None:
    scribe = service(office, KEEPER, "keeper", ledger)
    office.appoint(KEEPER, 2, operators=frozenset({RELAY.node_id}))

    await scribe.answer(RELAY.node_id, pack(Digested(bytes.fromhex(CAM.node_id))))

    assert [each.node for each in office.statements.by_scribe()] == [CAM.node_id]
    scribe.catch_up()
    assert len(ledger.revocations()) == 1


async def test_what_the_scribe_revoked_outlives_its_epoch_once_the_ca_countersigned(
    at_the_ca: RevokeService, at_the_scribe: RevokeService, office: Office
) -> None:
    await at_the_scribe.revoke(RevokeRequest("cam-7"))
    at_the_ca.countersign(())
    office.appoint(RELAY, 2)

    assert office.statements.revoked() == {CAM.node_id}
    assert [each.scribe_epoch for each in office.statements.revocations()] == [BY_CA]


async def test_who_is_reinstated_is_in_again_once_the_scribe_is_replaced(
    at_the_ca: RevokeService, at_the_scribe: RevokeService, office: Office, ledger: Ledger
) -> None:
    await at_the_scribe.revoke(RevokeRequest("cam-7"))
    at_the_ca.catch_up()
    assert ledger.revocations() != []

    at_the_ca.countersign({CAM.node_id})
    at_the_ca.catch_up()
    assert office.statements.revoked() == {CAM.node_id}
    assert ledger.revocations() != [], "the scribe's word counts until another has its place"

    at_the_ca.countersign({CAM.node_id})
    office.appoint(RELAY, 2)
    at_the_ca.catch_up()
    assert (office.statements.revoked(), ledger.revocations()) == (frozenset(), [])
    assert [each.fields for each in ledger.entries() if each.event == "node reinstated"] == [{"node": CAM.node_id}] * 2
