"""Mesh service: every effect is performed, every fact is told, and nobody is woken too late."""

import asyncio
import logging
from pathlib import Path

import pytest

from pulse import clock
from pulse.core import facts, messages
from pulse.core.effects import (
    NOTHING,
    Effect,
    Log,
    Owner,
    PolicyChanged,
    PolicyRule,
    StoreRevocation,
    TablesChanged,
)
from pulse.core.messages import Item, Leaving, ObjectKind, Objects, Observed
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.policy import Rule
from pulse.core.paths.noderecord import sign_record
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkId
from pulse.errors import PulseError, Refused, SystemRefused
from pulse.net import dialler
from pulse.services import mesh as module
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, NOW, Ca, key
from tests.mint import link_up
from tests.services.meshing import (
    ALICE,
    ALICE_IS_OUT,
    ALICE_IS_UP,
    BOB,
    BOB_IS_OUT,
    CA,
    CONFIG,
    FIRST,
    HOME,
    LINK,
    ME,
    OFFER,
    ROLES,
    Node,
    running,
)


@pytest.fixture
def here(tmp_path: Path) -> Node:
    return Node(tmp_path)


async def test_a_configured_peer_is_dialled_and_its_link_gets_tables_and_words(here: Node) -> None:
    async with running(here):
        here.configure(HOME)
        (dial,) = here.links.dials
        here.links.happens(link_up(ALICE.node_id, LINK, dial=dial.dial, certificate=ALICE.der))
        await here.settled()

    assert dial.address == HOME
    assert here.links.tables is not None
    assert list(here.links.tables.routes) == [ALICE.addresses.v4]
    assert messages.decode(here.links.sent[LINK][0]) == Observed("192.0.2.9", 443)
    assert Objects([], complete=True) in [messages.decode(each) for each in here.links.sent[LINK]]
    neighbour = here.service.mesh.neighbours.link_to(ALICE.node_id)
    assert neighbour is not None
    assert neighbour.dialled


async def test_a_failed_dial_is_made_again_though_nothing_else_happens(here: Node) -> None:
    async with running(here):
        here.configure(HOME)
        here.links.happens(facts.DialFailed(here.links.dials[0].dial, "timeout", "no answer"))
        await here.settled()

    assert len(here.links.dials) == 2


async def test_a_name_that_did_not_resolve_is_tried_again_though_nothing_else_happens(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[OSError | list[str]] = [OSError("no such name"), [HOME]]

    async def resolve(address: str) -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(dialler, "resolve", resolve)
    async with running(here):
        here.configure("vm-01:443")
        await here.settled()

    assert [each.address for each in here.links.dials] == [HOME]


async def test_a_neighbour_that_breaks_the_protocol_is_closed(here: Node) -> None:
    async with running(here):
        here.links.happens(ALICE_IS_UP, facts.MessageReceived(LINK, b"\xc1"))
        await here.settled()

    assert here.links.closed == {LINK: "protocol"}


async def test_the_session_of_a_neighbours_earlier_life_is_closed(here: Node) -> None:
    again = link_up(ALICE.node_id, 2, certificate=ALICE.der, boot=b"another life....")
    async with running(here):
        here.links.happens(ALICE_IS_UP, again)
        await here.settled()

    assert here.links.sessions_closed == {ALICE.node_id: "the node restarted"}


async def test_signed_objects_are_kept_as_they_came_and_told_to_whom_they_concern(here: Node) -> None:
    async with running(here):
        here.links.happens(ALICE_IS_UP, here.heard(ROLES, CONFIG, BOB_IS_OUT))
        await here.settled()

    store = NetworkStore(here.data_dir)
    assert store.load_roles().data == ROLES.data
    assert store.load_config().data == CONFIG.data
    assert list(store.load_revocations().objects) == [BOB_IS_OUT.data]
    assert here.said[:-1] == ["statements changed", "trust changed", "statements changed", "trust changed"]


async def test_a_forged_object_is_not_kept_and_costs_the_link(here: Node, caplog: pytest.LogCaptureFixture) -> None:
    foreign = Item(ObjectKind.ROLES, sign_roles(CA.network, Roles(2), Ca("other ca").key).data)
    async with running(here):
        here.links.happens(ALICE_IS_UP, here.heard(foreign))
        await here.settled()

    assert here.links.closed == {LINK: "protocol"}
    assert NetworkStore(here.data_dir).load_roles().data is None
    assert [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING] == [
        "neighbour broke the protocol"
    ]


async def test_a_disk_that_refuses_costs_a_line_and_not_the_node(
    here: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SystemRefused("no space left on the device")

    for save in ("save_roles", "save_config", "save_revocation"):
        monkeypatch.setattr(NetworkStore, save, full)
    async with running(here):
        here.links.happens(ALICE_IS_UP, here.heard(ROLES, CONFIG, BOB_IS_OUT))
        await here.settled()
        here.links.happens(link_up(BOB.node_id, 2, certificate=BOB.der))
        await here.settled()

    lines = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert [each.__dict__["object"] for each in lines] == ["roles", "config", "revocation"]
    assert {each.__dict__["error"] for each in lines} == {"no space left on the device"}
    assert here.service.mesh.statements.config == FIRST
    assert here.said[:-1] == ["statements changed", "trust changed", "statements changed", "trust changed"]
    assert here.links.closed == {LinkId(2): "certificate"}


async def test_what_the_machines_say_is_logged(here: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=module.__name__)
    here.service.tell(ALICE_IS_UP)

    (line,) = [each for each in caplog.records if each.getMessage() == "link up"]
    assert (line.levelno, line.__dict__["transport"]) == (logging.INFO, "quic")


async def test_a_config_that_is_offered_is_fetched_from_whoever_offers_it(here: Node) -> None:
    async with running(here):
        here.links.happens(ALICE_IS_UP, here.heard(OFFER))
        await here.settled()
        here.service.tell(facts.ConfigFetched(ALICE.node_id, FIRST.data))

    assert here.said[:2] == ["config of alice fetched", "statements changed"]
    assert NetworkStore(here.data_dir).load_config().data == FIRST.data


@pytest.mark.parametrize("refusal", [None, SystemRefused("no space left on the device")], ids=["kept", "not kept"])
async def test_a_record_of_ours_with_a_higher_boot_count_raises_the_one_on_disk(
    here: Node, refusal: PulseError | None, caplog: pytest.LogCaptureFixture
) -> None:
    here.refusal = refusal
    ours = sign_record(key("me"), ME, boot=7, seq=1)
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()
        here.service.tell(facts.ClockRead(NOW))
        here.links.happens(facts.MessageReceived(LINK, messages.encode(messages.NodeRecords([ours.data]))))
        await here.settled()

    errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert (here.said[:-1], errors) == (([], ["not kept on disk"]) if refusal else (["boot 8 stored"], []))
    assert here.service.mesh.announce.numbers == (8, 1)


# What this node signed itself


async def test_a_witness_sees_all_that_was_done_and_what_was_signed_here(here: Node) -> None:
    seen: list[Effect] = []
    here.service.witness = seen.extend
    here.service.tell(ALICE_IS_UP)
    here.service.take_in(ObjectKind.REVOCATION, BOB_IS_OUT.data)

    assert next(each.event for each in seen if isinstance(each, Log)) == "link up"
    assert [each.node for each in seen if isinstance(each, StoreRevocation)] == [BOB.node_id]


async def test_what_was_signed_here_is_told_to_neighbours_and_not_written_again(here: Node) -> None:
    here.service.tell(ALICE_IS_UP)
    here.service.take_in(ObjectKind.REVOCATION, BOB_IS_OUT.data)

    assert Objects([BOB_IS_OUT]) in [messages.decode(each) for each in here.links.sent[LINK]]
    assert here.said == ["trust changed", "statements changed"]
    assert list(NetworkStore(here.data_dir).load_revocations().objects) == []


async def test_a_neighbour_that_is_revoked_hears_so_before_its_link_is_cut(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.service.tell(ALICE_IS_UP)
    here.service.take_in(ObjectKind.REVOCATION, ALICE_IS_OUT.data)
    assert Objects([ALICE_IS_OUT]) in [messages.decode(each) for each in here.links.sent[LINK]]
    assert here.said == ["statements changed"]
    assert here.links.tables is not None
    assert list(here.links.tables.routes) == []

    monkeypatch.setattr(module, "LAST_WORDS", 0.0)
    here.service.take_in(ObjectKind.REVOCATION, BOB_IS_OUT.data)
    async with running(here):
        async with asyncio.timeout(5):
            while "trust changed" not in here.said:
                await asyncio.sleep(0.01)

    assert here.said == ["statements changed", "statements changed", "trust changed", "peers stored"]


async def test_the_rules_of_a_config_reach_the_data_plane(here: Node) -> None:
    here.service.tell(ALICE_IS_UP)
    here.service.take_in(ObjectKind.ROLES, sign_roles(CA.network, Roles(1, ALICE.node_id, 1), CA.key).data)
    rule = Rule("1", ["*"], [ALICE.node_id], allow=True, redundant=True)
    ruled = sign_config(CA.network, Config(1, 1, Settings(str(MESH)), acl=[rule]), key("alice"))
    here.service.take_in(ObjectKind.CONFIG, ruled.data)

    assert here.links.policy == (PolicyRule(True, None, (str(ALICE.addresses.v4),), (), (), redundant=True, id="1"),)


async def test_what_a_foreign_ca_signed_is_not_taken_in(here: Node) -> None:
    foreign = sign_roles(CA.network, Roles(2), Ca("other ca").key)
    with pytest.raises(Refused):
        here.service.take_in(ObjectKind.ROLES, foreign.data)

    assert here.said == []


# Time, peers and leaving


async def test_our_clock_is_compared_with_the_neighbours_hello(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW + 90.0)
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()

        assert here.service.mesh.sight.clock_offset() == 90.0


async def test_who_slept_looks_at_the_clock_at_once(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW + 90.0)
    here.service.tell(facts.Woke(90.0))

    assert here.service.mesh.timetable.moment(asyncio.get_running_loop().time()).wall == pytest.approx(
        NOW + 90.0, abs=60
    )


async def test_the_peer_table_is_written_once_for_many_changes(here: Node) -> None:
    here.service.peers_written_after = 0.0
    async with running(here):
        here.links.happens(ALICE_IS_UP, link_up(BOB.node_id, 2, certificate=BOB.der))
        await here.settled()

        assert here.said == ["peers stored"]


async def test_the_peer_table_is_written_on_the_way_out(here: Node) -> None:
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()
        assert here.said == []

    assert here.said == ["peers stored"]


async def test_neighbours_are_told_that_we_leave(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_WORDS", 0.0)
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()
        await here.service.leave()

    assert Leaving("stopped") in map(messages.decode, here.links.sent[LINK])


async def test_who_leaves_passes_on_what_still_comes(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_WORDS", 0.0)
    monkeypatch.setattr(module, "LOOK", 0.0)
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()
        here.links.passed_on = [5, 7, 9, 9, 12]
        await here.service.leave()

    assert here.links.passed_on == [12]


async def test_who_leaves_does_not_stay_for_ever_though_all_rely_on_it(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LAST_WORDS", "LOOK", "LONGEST_LEAVE"):
        monkeypatch.setattr(module, name, 0.0)
    async with running(here):
        here.links.happens(ALICE_IS_UP)
        await here.settled()
        here.links.passed_on = [*range(100)]
        await here.service.leave()

    assert len(here.links.passed_on) == 99


async def test_alone_there_is_nobody_to_take_leave_of(here: Node) -> None:
    await here.service.leave()

    assert here.links.sent == {}


async def test_a_part_of_a_race_that_only_settles_is_not_told_to_the_mesh(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(address: str) -> list[str]:
        return [HOME, "[2001:db8::1]:443"]

    monkeypatch.setattr(dialler, "resolve", resolve)
    async with running(here):
        here.configure("vm-01:443")
        await here.settled()
        here.links.happens(facts.DialFailed(here.links.dials[0].dial, "timeout", "no answer"))
        await here.settled()

    assert len(here.links.dials) == 2


async def test_a_beacon_goes_out_when_it_is_time(here: Node) -> None:
    async with running(here):
        here.service.tell(facts.LansChanged(1, 443))
        await here.settled()

    assert "beacon sent" in here.said


async def test_who_judges_by_the_rules_is_told_when_the_data_plane_has_others(here: Node) -> None:
    told: list[int] = []
    here.service.policy_changed = lambda: told.append(len(here.links.policy or ()))
    here.service.perform([PolicyChanged((PolicyRule(True, None, None, (), ()),))])
    assert told == [1], "after the data plane"


async def test_what_the_data_plane_cannot_read_ends_no_node_and_lets_nothing_through(
    here: Node, caplog: pytest.LogCaptureFixture
) -> None:
    tables = TablesChanged({}, (Owner("10.100.0.9/32", ALICE.node_id),))
    here.service.perform([tables])
    here.links.unreadable = True
    here.service.perform([TablesChanged({}, ()), PolicyChanged((PolicyRule(True, None, None, (), ()),))])

    assert (here.links.tables, here.links.policy) == (tables, (NOTHING,))
    assert [each.message for each in caplog.records] == ["tables not understood", "rules not understood"]


async def test_a_machine_that_should_long_have_been_woken_is(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that counts from the start of the machine 0.0 is long past, and no absence of a time."""
    woken = asyncio.Event()
    monkeypatch.setattr(type(here.service.mesh), "deadline", lambda _: None if woken.is_set() else 0.0)

    def tick(*_: object) -> list[Effect]:
        woken.set()
        return []

    monkeypatch.setattr(type(here.service.mesh), "tick", tick)

    async with running(here), asyncio.timeout(30):
        await woken.wait()
