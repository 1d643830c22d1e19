"""Trace service: hops are asked in turn, each for its own next link; whatever stops the walk is said."""

import itertools
import math
from dataclasses import dataclass, field

import msgspec
import pytest

from pulse.core import messages
from pulse.core.facts import LinkDown, LinkSample, LinksSampled, PinsChanged
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName, ObjectKind
from pulse.core.network.netconfig import Config, Settings, named, sign_config
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.members import Naming
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import SHORT_ID, LinkId, NodeId
from pulse.errors import Conflict, LinkError, NotFound, ProtocolError, PulseError, Refused
from pulse.schemas.paths import Trace, TraceRequest
from pulse.services.trace import MOST_HOPS, Step, TraceService
from tests.authority import MESH, Ca, key
from tests.mint import link_up, links_told, member, mesh

CA = Ca()
ME, RELAY, SECOND, FAR, STRANGER = (
    member(CA, name, place, host=name) for place, name in enumerate(("me", "relay", "second", "far", "stranger"), 1)
)
LINK = LinkId(1)
LATER = 10.0
"""When all that happened has been looked at."""


@dataclass
class World:
    """Our mesh, and what the others answer."""

    mesh: Mesh = field(default_factory=lambda: mesh(CA, ME))
    answers: dict[NodeId, bytes | PulseError] = field(default_factory=dict)
    """What each node says to `trace`."""
    silent: bool = False
    """The destination does not answer a ping."""
    asked: list[tuple[NodeId, str, bytes, float]] = field(default_factory=list)

    async def call(self, node: NodeId, method: str, body: bytes, timeout: float) -> bytes:
        self.asked.append((node, method, body, timeout))
        if method == "ping":
            if self.silent:
                raise LinkError("no answer")
            return body
        answer = self.answers[node]
        if isinstance(answer, PulseError):
            raise answer
        return answer

    @property
    def service(self) -> TraceService:
        return TraceService(self.mesh, self.call)

    async def trace(self, node: str = "far") -> Trace:
        return await self.service.trace(TraceRequest(node, 2.0))

    def says(self, who: Certificate, onward: Certificate | None, rtt: float | None = 0.02) -> None:
        """A hop's next one."""
        self.answers[who.node_id] = messages.pack(
            Step(raw(onward) if onward else b"", "websocket" if onward else "", rtt, 0.1)
        )


def raw(who: Certificate) -> bytes:
    return bytes.fromhex(who.node_id)


@pytest.fixture
def world() -> World:
    """The relay is our neighbour, and says it is linked with the far node; the second one is only known."""
    made = World()
    made.mesh.happened(link_up(RELAY.node_id, LINK, certificate=RELAY.der), 1.0)
    made.mesh.happened(LinksSampled((LinkSample(LINK, 0.01, 0.001, 0.5),)), 1.0)
    made.mesh.peer_restored(SECOND, [], 1.0)
    links_told(made.mesh, LINK, [(RELAY, FAR)], 1.0)
    made.mesh.tick(LATER)
    return made


async def test_hops_are_asked_in_turn_and_their_round_trips_add_up(world: World) -> None:
    world.says(RELAY, SECOND, 0.02)
    world.says(SECOND, FAR, 0.04)
    found = await world.trace()

    assert [(hop.name, hop.v4, hop.link, hop.rtt, hop.loss) for hop in found.hops] == [
        ("relay", str(RELAY.addresses.v4), "quic", 0.01, 0.5),
        ("second", str(SECOND.addresses.v4), "websocket", 0.02, 0.1),
        ("far", str(FAR.addresses.v4), "websocket", 0.04, 0.1),
    ]
    assert [hop.total for hop in found.hops] == pytest.approx([0.01, 0.03, 0.07])
    assert (found.id, found.name, found.problem) == (FAR.node_id, "far", "")
    assert found.rtt is not None
    assert world.asked == [
        (RELAY.node_id, MethodName.TRACE, raw(FAR), 2.0),
        (SECOND.node_id, MethodName.TRACE, raw(FAR), 2.0),
        (FAR.node_id, "ping", b"", 2.0),
    ]


async def test_a_neighbour_is_one_hop_away_and_nobody_is_asked_for_it(world: World) -> None:
    world.mesh.happened(link_up(FAR.node_id, 2, certificate=FAR.der), 2 * LATER)
    found = await world.trace()

    assert [hop.name for hop in found.hops] == ["far"]
    assert found.hops[0].rtt is found.hops[0].total is None
    assert [method for _, method, *_ in world.asked] == ["ping"]


async def test_a_hop_that_is_told_to_use_its_own_link_is_asked_for_that_one(world: World) -> None:
    world.mesh.happened(PinsChanged({FAR.node_id: RELAY.node_id}), LATER)
    world.says(RELAY, FAR, 0.04)

    assert [hop.name for hop in (await world.trace()).hops] == ["relay", "far"]
    assert world.asked[0] == (RELAY.node_id, MethodName.TRACE, raw(FAR) + b"\1", 2.0)


async def test_a_sum_with_an_unknown_part_is_unknown_from_there_on(world: World) -> None:
    world.says(RELAY, SECOND, None)
    world.says(SECOND, FAR, 0.04)

    assert [hop.total for hop in (await world.trace()).hops] == [0.01, None, None]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (LinkError("no answer"), "relay does not tell its next hop: no answer"),
        (NotFound("no method 'trace'"), "relay does not tell its next hop: no method 'trace'"),
        (b"\xc1", "relay does not tell its next hop: undecodable trace"),
        (messages.pack(Step(bytes(5))), "relay does not tell its next hop: a next hop of 5 bytes"),
        (messages.pack(Step(bytes(33))), "relay does not tell its next hop: undecodable trace"),
        (messages.pack(Step(bytes(32), "x" * 65)), "relay does not tell its next hop: undecodable trace"),
        (messages.pack(Step(bytes(32), "quic", -1.0)), "relay does not tell its next hop: undecodable trace"),
        (messages.pack(Step(bytes(32), "quic", math.nan)), "relay does not tell its next hop: undecodable trace"),
        (messages.pack(Step(b"")), "relay has no path to far"),
        (messages.pack(Step(raw(ME), "quic")), "the way comes back to me: a loop"),
        (messages.pack(Step(raw(RELAY), "quic")), "the way comes back to relay: a loop"),
    ],
)
async def test_what_ends_the_walk_is_said_and_the_node_is_still_asked(
    world: World, answer: bytes | PulseError, problem: str
) -> None:
    world.answers[RELAY.node_id] = answer
    found = await world.trace()

    assert found.hops[0].name == "relay"
    assert found.problem.startswith(problem)
    assert found.rtt is not None


async def test_a_node_that_does_not_answer_is_the_problem_unless_there_is_one_before(world: World) -> None:
    world.silent = True
    world.says(RELAY, FAR)
    found = await world.trace()
    assert (found.rtt, found.problem) == (None, "far does not answer: no answer")

    world.says(RELAY, None)
    assert (await world.trace()).problem == "relay has no path to far"


async def test_a_way_longer_than_a_frame_lives_is_given_up(world: World) -> None:
    chain = [RELAY, *(member(CA, f"hop{number}", 20 + number) for number in range(MOST_HOPS))]
    for here, there in itertools.pairwise(chain):
        world.says(here, there)
    found = await world.trace()

    assert len(found.hops) == MOST_HOPS
    assert found.problem == "16 hops do not reach far, and frames live no longer"


async def test_a_way_as_long_as_a_frame_lives_is_none_too_long(world: World) -> None:
    chain = [RELAY, *(member(CA, f"hop{number}", 20 + number) for number in range(MOST_HOPS - 2)), FAR]
    for here, there in itertools.pairwise(chain):
        world.says(here, there)
    found = await world.trace()

    assert (len(found.hops), found.problem) == (MOST_HOPS, "")


async def test_a_hop_nobody_knows_is_shown_by_its_id(world: World) -> None:
    world.says(RELAY, STRANGER)
    world.says(STRANGER, FAR)

    assert [(hop.name, hop.v4) for hop in (await world.trace()).hops][1] == (STRANGER.node_id[:SHORT_ID], "")


async def test_escape_sequences_of_a_hop_do_not_reach_the_terminal(world: World) -> None:
    world.answers[RELAY.node_id] = messages.pack(Step(raw(FAR), "\x1b[2Jquic"))

    assert "\x1b" not in (await world.trace()).hops[1].link


@pytest.mark.parametrize(
    ("node", "error", "words"),
    [
        ("me", Refused, "me is this node itself"),
        ("nobody", NotFound, 'no node is called "nobody"'),
        ("second", LinkError, "no path leads to second now"),
    ],
)
async def test_what_cannot_be_traced_is_refused_and_nobody_is_asked(
    world: World, node: str, error: type[PulseError], words: str
) -> None:
    with pytest.raises(error, match=words):
        await world.trace(node)
    assert world.asked == []


async def test_a_name_that_fits_two_is_refused(world: World) -> None:
    world.mesh.peer_restored(member(CA, "twin", 9, host="far"), [], LATER)

    with pytest.raises(Conflict):
        await world.trace()


# Asked by others


async def answered(world: World, who: Certificate) -> Step:
    return msgspec.msgpack.decode(await world.service.answer(RELAY.node_id, raw(who)), type=Step)


async def test_others_are_told_our_next_link(world: World) -> None:
    assert await answered(world, FAR) == Step(raw(RELAY), "quic", 0.01, 0.5)

    world.mesh.happened(PinsChanged({FAR.node_id: RELAY.node_id}), LATER)
    assert (await answered(world, FAR)).last


async def test_for_what_comes_with_the_flag_last_it_is_our_own_link_or_none(world: World) -> None:
    world.mesh.happened(link_up(SECOND.node_id, 2, certificate=SECOND.der), LATER)
    told = [await world.service.answer(RELAY.node_id, raw(who) + b"\1") for who in (RELAY, SECOND, FAR)]

    steps = [msgspec.msgpack.decode(each, type=Step) for each in told]
    assert [(step.next, step.last) for step in steps] == [(raw(RELAY), False), (raw(SECOND), False), (b"", False)]


async def test_others_are_told_that_there_is_no_path(world: World) -> None:
    assert await answered(world, SECOND) == Step(b"")


async def test_a_path_whose_link_just_went_is_no_path(world: World) -> None:
    # The graph was looked at this very moment, so the next look waits.
    world.mesh.happened(link_up(SECOND.node_id, 2, certificate=SECOND.der), LATER)
    world.mesh.happened(LinkDown(LINK, RELAY.node_id, "timed out"), LATER)
    assert world.mesh.routing.path_to(FAR.node_id) is not None

    assert await answered(world, FAR) == Step(b"")
    found = await world.trace()
    assert (found.hops, found.problem) == ([], "me has no path to far")


async def test_nodes_are_called_as_the_config_has_them(world: World) -> None:
    wanted = named(Config(1, 1, Settings(str(MESH))), Naming({FAR.node_id: "web", RELAY.node_id: "hub"}))
    roles = Roles(1, RELAY.node_id, 1, scribe_key=RELAY.public_key)
    statements = world.mesh.statements
    statements.object_received(ObjectKind.ROLES, sign_roles(CA.network, roles, CA.key).data)
    statements.object_received(ObjectKind.CONFIG, sign_config(CA.network, wanted, key("relay")).data)
    world.says(RELAY, None)
    found = await world.trace("web")

    assert (found.name, found.problem) == ("web", "hub has no path to web")
    assert [hop.name for hop in found.hops] == ["hub"]


@pytest.mark.parametrize("body", [b"", bytes(31), bytes(33)])
async def test_a_question_that_names_no_node_is_refused(world: World, body: bytes) -> None:
    with pytest.raises(Refused, match="32 bytes"):
        await world.service.answer(RELAY.node_id, body)


def test_a_step_is_bounded() -> None:
    with pytest.raises(ProtocolError):
        messages.unpack(msgspec.msgpack.Decoder(Step), messages.pack(Step(b"", "", 1.0, 2.0)), "trace", 100)
