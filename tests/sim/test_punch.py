"""Questions over sessions and probes as datagrams: what the data plane would carry, and what it would not."""

from dataclasses import dataclass

import pytest

from pulse.core.effects import AskPunch, Attempt, ExpectProbes, SendProbe
from pulse.core.facts import Fact, ProbeReceived, PunchAnswered, PunchAsked
from pulse.core.messages import Punch, pack
from pulse.core.paths.traversal import ANSWER
from tests.sim.node import SimNode
from tests.sim.punch import MOST
from tests.sim.underlay import Segment
from tests.sim.world import World

OURS, THEIRS = Attempt(7, b"ours", b"theirs"), Attempt(7, b"theirs", b"ours")
HOME = Segment("home", "192.168")
QUESTION = pack(Punch(bytes(16), []))


@dataclass
class Pair:
    """The CA and a member at a home, linked; neither's mesh knows of the attempts the test makes up."""

    world: World
    ca: SimNode
    alice: SimNode

    def told(self, node: SimNode, kind: type[Fact]) -> list[object]:
        return [each.what for each in self.world.flow.entries if each.node == node.name and isinstance(each.what, kind)]

    def expect(self) -> None:
        """Both ends know of the attempt."""
        self.alice.running.punch.perform(ExpectProbes((OURS,)))
        self.ca.running.punch.perform(ExpectProbes((THEIRS,)))

    def probe(self, times: int = 1) -> None:
        """Probes from alice to the CA, and the time they and their echoes take."""
        for _ in range(times):
            self.alice.running.punch.perform(SendProbe(self.ca.machine.addresses[0], OURS.number))
        self.world.run(0.5)

    def ask(self) -> None:
        self.alice.running.punch.perform(AskPunch(self.ca.id, QUESTION))


@pytest.fixture
def pair() -> Pair:
    world = World(1)
    ca = world.node("ca", is_ca=True)
    alice = world.node("alice", HOME, dials=[ca])
    ca.start()
    alice.start()
    world.run(5)
    return Pair(world, ca, alice)


def test_a_probe_is_told_with_the_place_it_comes_from_and_so_is_its_echo(pair: Pair) -> None:
    pair.expect()
    pair.probe()

    (heard,), (echo,) = pair.told(pair.ca, ProbeReceived), pair.told(pair.alice, ProbeReceived)
    assert isinstance(heard, ProbeReceived)
    assert not heard.echo
    assert heard.source.startswith("203.0.113.1:")
    assert echo == ProbeReceived(OURS.number, pair.ca.machine.addresses[0], echo=True)


def test_who_does_not_expect_a_probe_or_knows_another_secret_neither_hears_nor_answers_it(pair: Pair) -> None:
    pair.alice.running.punch.perform(ExpectProbes((OURS,)))
    pair.probe()
    pair.ca.running.punch.perform(ExpectProbes((Attempt(OURS.number, b"theirs", b"another"),)))
    pair.probe()

    assert pair.told(pair.ca, ProbeReceived) == pair.told(pair.alice, ProbeReceived) == []


def test_an_attempt_that_is_over_sends_nothing_and_hears_no_echo(pair: Pair) -> None:
    pair.expect()
    pair.alice.running.punch.perform(SendProbe(pair.ca.machine.addresses[0], OURS.number))
    pair.alice.running.punch.perform(ExpectProbes(()))
    pair.probe()

    assert len(pair.told(pair.ca, ProbeReceived)) == 1
    assert pair.told(pair.alice, ProbeReceived) == []


def test_an_attempt_has_so_many_probes_and_no_more(pair: Pair) -> None:
    pair.expect()
    pair.probe(MOST + 20)

    assert len(pair.told(pair.ca, ProbeReceived)) == MOST


def test_probes_get_lost_one_by_one_and_a_cut_loses_all(pair: Pair) -> None:
    pair.expect()
    pair.world.reshape(pair.alice, loss=0.5)
    pair.probe(MOST // 2)
    heard = len(pair.told(pair.ca, ProbeReceived))
    assert MOST // 8 < heard < MOST // 2 - MOST // 8

    pair.world.reshape(pair.alice, loss=0.0)
    pair.world.cut(pair.alice, pair.ca)
    pair.probe(MOST // 2)
    assert len(pair.told(pair.ca, ProbeReceived)) == heard


def test_a_question_is_put_over_the_session_and_its_answer_comes_back(pair: Pair) -> None:
    pair.ask()
    pair.world.run(0.5)

    (asked,), (answered,) = pair.told(pair.ca, PunchAsked), pair.told(pair.alice, PunchAnswered)
    assert isinstance(asked, PunchAsked)
    assert (asked.node, asked.body) == (pair.alice.id, QUESTION)
    # There is a link already: the mesh says no.
    assert answered == PunchAnswered(pair.ca.id, None, "it said no")


def test_a_question_waits_for_a_session_but_not_for_ever(pair: Pair) -> None:
    pair.ca.kill()
    pair.ask()
    pair.world.run(ANSWER / 4)
    assert pair.told(pair.alice, PunchAnswered) == []
    pair.ca.start()
    pair.world.run(ANSWER)
    assert len(pair.told(pair.ca, PunchAsked)) == 1

    pair.ca.kill()
    pair.ask()
    pair.world.run(ANSWER + 0.1)
    assert pair.told(pair.alice, PunchAnswered)[1:] == [PunchAnswered(pair.ca.id, None, "no answer")]
