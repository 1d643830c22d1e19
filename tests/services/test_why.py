"""Why service: both ends are asked, whoever asks; an end that is silent costs its half."""

from dataclasses import dataclass, field

import msgspec
import pytest

from pulse.core import messages
from pulse.core.facts import LinkDown
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName
from pulse.core.paths.figures import Figures
from pulse.core.types import LinkId, NodeId
from pulse.core.why import Account, Code, Place
from pulse.errors import LinkError, NotFound, PulseError, Refused
from pulse.schemas.paths import WhyPlace, WhyRequest
from pulse.services.why import WhyService
from tests.authority import Ca
from tests.mint import link_up, member, mesh

CA = Ca()
ME, ALICE, BOB = (member(CA, name, place, host=name) for place, name in enumerate(("me", "alice", "bob"), 1))
RELAYED = Account("quic", bytes.fromhex(BOB.node_id), 0.05, has_udp=True, has_links=True, is_wanted=True, attempts=1)


@dataclass
class World:
    """Our mesh, and what the others answer."""

    mesh: Mesh = field(default_factory=lambda: mesh(CA, ME))
    answers: dict[NodeId, bytes | PulseError] = field(default_factory=dict)
    asked: list[tuple[NodeId, str, bytes, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, each in enumerate((ALICE, BOB), 1):
            self.mesh.happened(link_up(each.node_id, number, certificate=each.der), 1.0)

    @property
    def service(self) -> WhyService:
        return WhyService(self.mesh, self.call, lambda _: "quic", lambda _: Figures(0.02, 0.001, 0.1))

    async def call(self, node: NodeId, method: str, body: bytes, timeout: float) -> bytes:
        self.asked.append((node, method, body, timeout))
        answer = self.answers.get(node, LinkError("no answer"))
        if isinstance(answer, PulseError):
            raise answer
        return answer


@pytest.fixture
def world() -> World:
    return World()


async def test_both_ends_are_asked_and_joined_for_a_pair_of_others(world: World) -> None:
    place = Place("203.0.113.1:443", sent=11)
    world.answers[ALICE.node_id] = messages.pack(Account(via=RELAYED.via, link="quic", places=(place,), nat="cone",
        has_udp=True, has_links=True, is_wanted=True, attempts=1, observers=2, next_try=17.0))  # fmt: skip
    world.answers[BOB.node_id] = messages.pack(RELAYED)

    told = await world.service.why(WhyRequest("bob", "alice", 2.0))

    assert (told.code, told.source.name, told.node.name) == (Code.UNANSWERED, "alice", "bob")
    assert told.source.places == [WhyPlace("203.0.113.1:443", 11, 0, 0, "")]
    assert (told.source.nat, told.source.observers, told.source.next_try, told.source.via) == ("cone", 2, 17.0, "bob")
    assert sorted(world.asked) == sorted([
        (ALICE.node_id, MethodName.WHY, bytes.fromhex(BOB.node_id), 2.0),
        (BOB.node_id, MethodName.WHY, bytes.fromhex(ALICE.node_id), 2.0),
    ])  # fmt: skip


async def test_an_end_that_does_not_answer_costs_its_half(world: World) -> None:
    told = await world.service.why(WhyRequest("alice"))

    assert told.sentence == "alice is reached directly by quic."
    assert (told.source.asked, told.node.asked, told.node.problem) == (True, False, "no answer")


async def test_without_the_first_end_there_is_no_verdict(world: World) -> None:
    told = await world.service.why(WhyRequest("bob", "alice"))

    assert (told.code, told.sentence) == (Code.NO_PATH, "alice cannot be asked: no answer.")


async def test_an_end_that_nothing_leads_to_is_not_waited_for(world: World) -> None:
    world.mesh.happened(LinkDown(LinkId(1), ALICE.node_id, "closed by peer: leaving"), 40.0)

    told = await world.service.why(WhyRequest("alice"))
    assert (told.node.asked, told.node.problem, world.asked) == (False, "nothing leads to alice now", [])

    told = await world.service.why(WhyRequest("bob", "alice"))
    assert (told.code, told.sentence) == (Code.NO_PATH, "alice cannot be asked: nothing leads to alice now.")


@pytest.mark.parametrize("answer", [b"", b"\xc1", messages.pack(RELAYED)[:-1]], ids=["empty", "bad", "short"])
async def test_an_account_that_cannot_be_read_is_none(world: World, answer: bytes) -> None:
    world.answers[ALICE.node_id] = answer

    told = await world.service.why(WhyRequest("alice"))
    assert "undecodable account" in told.node.problem


async def test_what_an_end_says_cannot_move_a_terminals_cursor(world: World) -> None:
    world.answers[ALICE.node_id] = messages.pack(Account(nat="\x1b[2J", places=(Place("\x1b[1m", error="\x1b"),)))

    told = await world.service.why(WhyRequest("alice"))
    assert "\x1b" not in repr([told.node.nat, told.node.places]).replace("\\x1b", "\x1b")


async def test_another_node_gets_our_account_of_our_way_to_it(world: World) -> None:
    answer = await world.service.answer(ALICE.node_id, bytes.fromhex(ALICE.node_id))

    assert msgspec.msgpack.decode(answer, type=Account).is_linked


async def test_an_account_has_the_figures_that_the_status_tells(world: World) -> None:
    told = await world.service.why(WhyRequest("alice"))

    assert (told.source.rtt, told.source.loss) == (0.02, 0.1)


async def test_a_question_about_no_node_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="by the 32 bytes of its id"):
        await world.service.answer(ALICE.node_id, b"short")


async def test_a_node_and_itself_have_no_path(world: World) -> None:
    with pytest.raises(Refused, match="alice is one node"):
        await world.service.why(WhyRequest("alice", "alice"))


async def test_nobody_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.service.why(WhyRequest("nobody"))
