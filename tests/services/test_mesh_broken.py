"""The mesh service where something breaks that nobody foresaw: it costs itself, and is told."""

import asyncio
from pathlib import Path

import pytest

from pulse.core import facts, messages
from pulse.core.effects import NOTHING, Effect, FetchConfig, TablesChanged
from pulse.core.mesh import Mesh
from pulse.core.messages import Item, Leaving, ObjectKind
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkId
from pulse.services import mesh as module
from tests.authority import MESH, key
from tests.mint import link_up
from tests.services.meshing import ALICE, ALICE_IS_UP, BOB, CA, CONFIG, LINK, ROLES, Node, running

ALICE_IS_SCRIBE = Item(ObjectKind.ROLES, sign_roles(CA.network, Roles(2, ALICE.node_id, 1), CA.key).data)
HER_CONFIG = Item(ObjectKind.CONFIG, sign_config(CA.network, Config(1, 1, Settings(str(MESH))), key("alice")).data)


@pytest.fixture
def here(tmp_path: Path) -> Node:
    return Node(tmp_path)


class Brittle:
    """A machine that breaks whenever it is told anything, or only by rules."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.asked = 0
        for name in names:
            monkeypatch.setattr(Mesh, name, self.breaks)

    def breaks(self, *_: object) -> list[Effect]:
        self.asked += 1
        raise KeyError("nobody foresaw this")


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    told = [each for each in caplog.records if each.message == "the mesh failed at this"]
    assert all(each.exc_info for each in told), "whole"
    return [getattr(each, "what", "") for each in told]


async def test_what_breaks_the_mesh_costs_itself_and_not_the_node(
    here: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()
        with monkeypatch.context() as broken:
            Brittle(broken, "happened")
            here.links.happens(facts.MessageReceived(LINK, b"odd"), link_up(BOB.node_id, 2, certificate=BOB.der))
            await here.settled()
        here.links.happens(here.heard(ROLES, CONFIG))
        await here.settled()

    assert failures(caplog) == ["MessageReceived", "LinkUp"]
    assert here.links.closed == {LinkId(2): "failed"}, "whoever is half known is not kept"
    assert here.service.mesh.statements.roles.epoch == 1, "what comes next is taken in"


async def test_a_flood_of_what_breaks_the_mesh_is_told_a_few_times_only(
    here: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Brittle(monkeypatch, "happened")
    for _ in range(100):
        here.service.tell(facts.MessageReceived(LINK, b"odd"))

    assert here.service.broken == 100
    assert 0 < len(failures(caplog)) < 10


async def test_a_mesh_that_breaks_as_time_passes_is_asked_again_and_holds_up_nobody(
    here: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.01)
    brittle = Brittle(monkeypatch, "tick")
    monkeypatch.setattr(Mesh, "deadline", lambda _: 0.0)
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        async with asyncio.timeout(30):
            while brittle.asked < 3:
                await asyncio.sleep(0.01)

    assert set(failures(caplog)) == {"tick"}
    assert LINK in here.links.sent, "its link was taken in all the same"


async def test_an_effect_that_fails_keeps_no_other_from_being_done(
    here: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def witness(_: object) -> None:
        raise KeyError("nobody foresaw this")

    here.service.witness = witness
    here.service.fetch_config = witness
    here.service.perform([FetchConfig(ALICE.node_id), TablesChanged({}, ())])

    assert here.links.tables == TablesChanged({}, ())
    assert failures(caplog) == ["FetchConfig", "witness"]


async def test_a_config_whose_rules_break_the_mesh_lets_nothing_through_till_another_comes(
    here: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()
        with monkeypatch.context() as broken:
            Brittle(broken, "rules")
            here.links.happens(here.heard(ROLES, CONFIG))
            await here.settled()
            shut = here.links.policy
        here.links.happens(facts.MessageReceived(LINK, messages.encode(Leaving("stopped"))))
        await here.settled()
        still = here.links.policy
        here.links.happens(here.heard(ALICE_IS_SCRIBE, HER_CONFIG))
        await here.settled()

    assert shut == still == (NOTHING,)
    assert here.links.policy == (), "no rules at all, as before"
    assert failures(caplog) == ["MessageReceived", "rules"]
