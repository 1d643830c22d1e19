"""Scribe service: it asks for the role until the answer is final, and an edit is answered once it is on disk."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse.core.messages import ObjectKind
from pulse.core.network.scribe import Scribe
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import NodeId
from pulse.errors import Conflict, LinkError, NotFound, PulseError, Refused, SystemRefused
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest
from pulse.services import scribe as module
from pulse.services.edits import EditsService
from pulse.services.scribe import PATIENCE, ScribeService
from tests.authority import key
from tests.services.office import CA, CAM, HOME, KEEPER, RELAY, Office, fill_disk

__all__ = ["fill_disk"]

ROLES = sign_roles(CA.network, Roles(2, HOME.node_id, 1, scribe_key=HOME.public_key), CA.key)


@dataclass
class Node:
    """The node `home`, and how the CA answers its claims."""

    office: Office
    wanted: bool = True
    answers: list[bytes | PulseError] = field(default_factory=list)
    """Of the CA, one after the other; the last one stays."""
    cas: frozenset[NodeId] = frozenset({KEEPER.node_id})
    asked: list[tuple[NodeId, str, float]] = field(default_factory=list)
    service: ScribeService = field(init=False)
    edits: EditsService = field(init=False)
    """What people type edits into."""

    def __post_init__(self) -> None:
        office = self.office
        pen = Scribe(HOME.node_id, key("home"), office.statements, office.members, office.store.highest_generation)
        self.service = ScribeService(pen, office.publish, self.call, lambda: self.cas, self.wanted)
        self.edits = EditsService(
            HOME.node_id, office.statements, office.members, lambda: self.cas, self.service.edit, self.call
        )

    async def call(self, who: NodeId, method: str, _: bytes, timeout: float) -> bytes:
        self.asked.append((who, method, timeout))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, PulseError):
            raise answer
        return answer

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.service.run())
        yield
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def until(self, so: str) -> None:
        """Wait until the service's problem begins so."""
        async with asyncio.timeout(10):
            while not self.service.problem.startswith(so) or not (so or self.service.scribe.in_office):
                await asyncio.sleep(0)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "data")


@pytest.fixture
def scribe(office: Office) -> Node:
    """A node that is the scribe."""
    office.appoint(HOME)
    return Node(office)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(module, name, 0.001)


# The role


async def test_the_role_is_asked_of_the_ca_and_the_config_signed_anew(office: Office) -> None:
    node = Node(office, answers=[ROLES.data])
    async with node.running():
        await node.until("")

    assert node.asked == [(KEEPER.node_id, "roles.claim", PATIENCE)]
    assert office.told == [ObjectKind.ROLES, ObjectKind.CONFIG]
    assert office.store.load_roles().data == ROLES.data
    assert office.statements.config is not None
    assert office.statements.config.number == (1, 2)
    assert office.store.load_config().data == office.statements.config.data


async def test_a_ca_out_of_reach_is_asked_until_it_answers(office: Office) -> None:
    node = Node(office, answers=[LinkError("no link leads there"), LinkError("no answer"), ROLES.data])
    async with node.running():
        await node.until("asking the CA for the role failed: no")
        await node.until("")

    assert len(node.asked) == 3


async def test_a_ca_that_was_not_met_yet_is_a_problem_in_words(office: Office) -> None:
    node = Node(office, cas=frozenset(), answers=[ROLES.data])
    async with node.running():
        await node.until("the CA, which gives the role, was not met yet")
        node.cas = frozenset({KEEPER.node_id})
        await node.until("")


async def test_a_refusal_is_said_once_in_the_log_and_stays_a_problem(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(office, answers=[Refused("cam-7 is the scribe already")])
    async with node.running():
        await node.until("cam-7 is the scribe already")
        while len(node.asked) < 4:
            await asyncio.sleep(0)

    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == [
        "role of scribe refused"
    ]
    assert office.told == []


async def test_roles_that_come_by_themselves_end_the_asking(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(office, answers=[Refused("not yet")])
    async with node.running():
        await node.until("not yet")
        monkeypatch.setattr(module, "LONGEST_PAUSE", 1000.0)
        await asyncio.sleep(0.01)
        office.hear(ROLES.data)
        node.service.changed()
        await node.until("")


async def test_forged_roles_make_no_scribe(office: Office) -> None:
    forged = sign_roles(CA.network, ROLES.roles, key("mallory"))
    node = Node(office, answers=[forged.data])
    async with node.running():
        await node.until("roles object is not signed by anyone entitled")

    assert (office.told, office.store.load_roles().data) == ([], None)


async def test_a_ca_that_is_not_the_scribe_does_not_ask_itself(office: Office) -> None:
    node = Node(office, cas=frozenset({HOME.node_id}))
    async with node.running():
        await node.until("another node has the role")


async def test_who_was_not_started_to_be_the_scribe_does_not_ask(office: Office) -> None:
    node = Node(office, wanted=False, answers=[ROLES.data])
    async with node.running():
        for _ in range(20):
            await asyncio.sleep(0.001)

    assert (node.asked, node.service.problem) == ([], "")
    with pytest.raises(Refused, match="no scribe"):
        await node.edits.set_name(NameRequest("relay", "relay-01"))


async def test_a_disk_that_refuses_the_config_signed_anew_costs_a_line(
    scribe: Node, fill_disk: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    fill_disk()
    async with scribe.running():
        async with asyncio.timeout(10):
            while not caplog.records:
                await asyncio.sleep(0)

    assert caplog.records[0].getMessage() == "network config not signed anew"
    assert scribe.office.told == []


# Edits


async def test_a_name_is_on_disk_and_told_when_it_is_answered(scribe: Node) -> None:
    asked: list[object] = []
    scribe.service.asked = lambda by: asked.append((by, scribe.office.statements.config))
    before = scribe.office.statements.config

    told = await scribe.edits.set_name(NameRequest(RELAY.node_id[:12], "relay-01"))
    assert asked == [(HOME.node_id, before)]
    config = scribe.office.statements.config

    assert told == NodeNaming(RELAY.node_id, "relay-01", [], "1.2")
    assert config is not None
    assert scribe.office.store.load_config().data == config.data
    assert scribe.office.told == [ObjectKind.CONFIG]


async def test_tags_come_and_go_and_what_is_so_already_is_not_written(scribe: Node) -> None:
    infra = TagRequest("relay", "infra")
    assert (await scribe.edits.add_tag(infra)).tags == ["infra"]
    assert (await scribe.edits.add_tag(infra)).version == "1.2"
    assert (await scribe.edits.remove_tag(infra)).tags == []
    assert scribe.office.told == [ObjectKind.CONFIG] * 2


@pytest.mark.parametrize(
    ("node_id", "name", "error"),
    [("relay", "cam-7", Conflict), ("relay", "Bad Name", Refused), ("nobody", "relay-01", NotFound)],
)
async def test_an_edit_that_is_refused_writes_nothing(
    scribe: Node, node_id: str, name: str, error: type[PulseError]
) -> None:
    with pytest.raises(error):
        await scribe.edits.set_name(NameRequest(node_id, name))
    assert scribe.office.told == []


async def test_an_edit_a_full_disk_refuses_is_an_error_and_told_to_nobody(
    scribe: Node, fill_disk: Callable[[], None]
) -> None:
    fill_disk()
    with pytest.raises(SystemRefused, match="No space left"):
        await scribe.edits.set_name(NameRequest("relay", "relay-01"))

    assert scribe.office.told == []
    assert scribe.office.members.label(RELAY) == "relay"


async def test_an_edit_right_after_the_start_waits_for_the_role(office: Office) -> None:
    node = Node(office, answers=[LinkError("no link leads there"), ROLES.data])
    async with node.running():
        told = await node.edits.set_name(NameRequest("relay", "relay-01"))

    assert told.name == "relay-01"


async def test_an_edit_waits_for_the_config_to_write_on(office: Office) -> None:
    node = Node(office, answers=[ROLES.data])
    config, office.statements._config = office.statements.config, None
    async with node.running():
        await node.until("")
        naming = asyncio.ensure_future(node.edits.set_name(NameRequest("relay", "relay-01")))
        for _ in range(5):
            await asyncio.sleep(0)
        assert config is not None
        office.hear(config.data)
        node.service.changed()

        assert (await naming).name == "relay-01"


async def test_an_edit_does_not_wait_for_a_role_that_was_refused(office: Office) -> None:
    office.appoint(CAM)
    node = Node(office, answers=[Refused("cam-7 is the scribe already")])
    async with node.running():
        await node.until("cam-7")
        with pytest.raises(Refused, match=r"Run it on cam-7"):
            await node.edits.add_tag(TagRequest("relay", "infra"))


async def test_an_edit_waits_so_long_and_no_longer(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON", 0.01)
    node = Node(office, answers=[LinkError("no answer")])
    async with node.running():
        with pytest.raises(Refused, match="no scribe"):
            await node.edits.set_name(NameRequest("relay", "relay-01"))


async def test_after_a_damaged_newest_config_no_generation_is_used_twice(scribe: Node) -> None:
    for name in ("one", "two"):
        await scribe.edits.set_name(NameRequest(RELAY.node_id, name))
    (scribe.office.place / "network" / "config.1.3").write_bytes(b"torn")
    later = Node(Office(scribe.office.place))
    later.office.appoint(HOME)
    left = later.office.store.load_config().data
    assert left is not None
    later.office.hear(left)
    assert later.office.members.label(RELAY) == "one"

    assert (await later.edits.set_name(NameRequest(RELAY.node_id, "three"))).version == "1.4"


async def test_while_it_may_sign_nothing_no_config_is_made_and_none_signed_anew(office: Office) -> None:
    def refuse() -> None:
        raise Refused("put back from a backup")

    office.appoint(HOME)
    node = Node(office, answers=[ROLES.data])
    node.service.check = refuse
    async with node.running():
        with pytest.raises(Refused, match="from a backup"):
            await node.edits.set_name(NameRequest(RELAY.node_id, "gate"))
        assert office.told == []
        node.service.check = lambda: None
        await node.edits.set_name(NameRequest(RELAY.node_id, "gate"))
    assert office.statements.config is not None
    assert office.statements.config.config.scribe_epoch == 1
