"""A CA put back from a backup: silent until the mesh has told it whom it let in, then as careful as before."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.facts import LinkDown
from pulse.core.mesh import Mesh
from pulse.core.messages import Have
from pulse.core.trust.certificates import Certificate, parse
from pulse.core.types import LinkId
from pulse.errors import Refused, SystemRefused
from pulse.services.recovery import HEARING, PATIENCE, RecoveryService
from pulse.store import authority
from pulse.store.files import open_data_dir
from pulse.store.ledger import Ledger
from tests.authority import MESH, NOW, Ca, node, token
from tests.mint import addresses, link_up, member, mesh
from tests.store.ledgers import join

CA, FOREIGN = Ca(), Ca("other ca")
ME = member(CA, "me", 1)
LINK = LinkId(1)


def let_in(machine: str, place: int, serial: int, ca: Ca = CA) -> Certificate:
    """A certificate that the CA signed after the backup."""
    grant = replace(ca.grant(machine), addresses=addresses(ca, machine, place), name=f"n-{machine}", host=machine)
    return parse(ca.issuer.issue(grant, serial))


ALICE, BOB = let_in("alice", 2, 21), let_in("bob", 3, 22)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    place = open_data_dir(tmp_path / "data")
    authority.found(place, "mynet", MESH, NOW)
    authority.mark_put_back(place)
    return place


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.create(open_data_dir(tmp_path / "ca") / "ledger.sqlite", CA.network, NOW) as ledger:
        ledger.add_token(token("t"))
        yield ledger


@pytest.fixture
def here() -> Mesh:
    return mesh(CA, ME)


@pytest.fixture
def caught() -> list[str]:
    return []


@pytest.fixture
def recovery(data_dir: Path, ledger: Ledger, here: Mesh, caught: list[str]) -> RecoveryService:
    return RecoveryService(data_dir, here, ledger, lambda: caught.append("up"), lambda: caught.append("restated"))


def linked(here: Mesh, who: Certificate = ALICE) -> None:
    here.happened(link_up(who.node_id, LINK, certificate=who.der), 1.0)


def test_alone_it_waits_and_with_a_neighbour_until_that_one_had_time_to_tell(
    recovery: RecoveryService, here: Mesh, caught: list[str], data_dir: Path
) -> None:
    recovery.look(0.0)
    recovery.look(1000.0)
    assert recovery.waits()
    with pytest.raises(Refused, match=r"put back from a backup.*\nTry again in half a minute"):
        recovery.check()
    linked(here)
    recovery.look(1001.0)
    recovery.look(1000.0 + HEARING)
    assert (recovery.waits(), caught, authority.is_put_back(data_dir)) == (True, [], True)
    recovery.look(1001.0 + HEARING)
    assert (recovery.waits(), caught, authority.is_put_back(data_dir)) == (False, ["up", "restated"], False)
    recovery.check()


def test_a_neighbour_that_goes_again_does_not_count(recovery: RecoveryService, here: Mesh) -> None:
    linked(here)
    recovery.look(1.0)
    here.happened(LinkDown(LINK, ALICE.node_id, "idle"), 2.0)
    recovery.look(2.0)
    linked(here)
    recovery.look(1.5 + HEARING)
    assert recovery.waits()


def test_whom_it_let_in_keeps_address_and_name_and_nobody_else_gets_them(
    recovery: RecoveryService, here: Mesh, ledger: Ledger
) -> None:
    linked(here)
    here.members.certificate_seen(let_in("stranger", 9, 99, FOREIGN))
    recovery.look(1.0)
    recovery.look(1.0 + HEARING)
    last = ledger.entries()[-1]
    assert (last.event, last.fields["count"]) == ("certificates taken in from the mesh", 2)
    assert ledger.public_key(node("alice")) == ALICE.public_key
    assert ledger.public_key(node("stranger")) is None
    admitted = join(ledger, "carol", token("t"), host="alice")
    assert admitted.certificate is not None
    assert parse(admitted.certificate).host == "alice-2"
    assert parse(admitted.certificate).addresses.v4 not in (ALICE.addresses.v4, ME.addresses.v4)


def test_who_turns_up_later_is_taken_in_once(recovery: RecoveryService, here: Mesh, ledger: Ledger) -> None:
    linked(here)
    recovery.look(1.0)
    recovery.look(1.0 + HEARING)
    here.members.certificate_seen(BOB)
    for more in range(3):
        recovery.look(60.0 + more)
    events = [entry.event for entry in ledger.entries()]
    assert events.count("certificates taken in from the mesh") == 2
    assert ledger.public_key(node("bob")) == BOB.public_key


async def test_a_ledger_that_refuses_keeps_it_waiting(
    recovery: RecoveryService, here: Mesh, caplog: pytest.LogCaptureFixture, data_dir: Path
) -> None:
    def refuse() -> None:
        raise SystemRefused("disk full")

    recovery.catch_up = refuse
    linked(here)
    recovery.look(asyncio.get_running_loop().time() - HEARING)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await recovery.run()

    assert (recovery.waits(), authority.is_put_back(data_dir)) == (True, True)
    assert "ledger refused what the mesh knows" in caplog.messages


def test_what_it_cannot_state_leaves_it_put_back(recovery: RecoveryService, here: Mesh, data_dir: Path) -> None:
    def refuse() -> None:
        raise Refused("the key was replaced")

    recovery.restate = refuse
    linked(here)
    recovery.look(1.0)
    with pytest.raises(Refused, match="replaced"):
        recovery.look(1.0 + HEARING)

    assert (recovery.waits(), authority.is_put_back(data_dir)) == (True, True)


def named(here: Mesh, now: float) -> None:
    """The neighbour names the record of a node that we never heard of."""
    here.gossip.message_received(LINK, Have(bytes((10, 77, 0, 9)) + bytes(8)), now)


def test_what_was_named_and_has_yet_to_come_is_waited_for(recovery: RecoveryService, here: Mesh) -> None:
    linked(here)
    recovery.look(1.0)
    named(here, 2.0)
    recovery.look(1.0 + HEARING)
    assert recovery.waits()
    for second in range(3, 12):
        here.tick(float(second))
    recovery.look(2.0 + HEARING)
    assert not recovery.waits()


def test_but_not_for_ever(recovery: RecoveryService, here: Mesh) -> None:
    linked(here)
    recovery.look(1.0)
    named(here, PATIENCE)
    recovery.look(PATIENCE)
    assert recovery.waits()
    recovery.look(1.0 + PATIENCE)
    assert not recovery.waits()
