"""Announcing under any order of facts: what was said last is in the end what is true."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.core.paths.records import handle
from tests.core.paths.speaker import Speaker, listed


class AnnounceMachine(RuleBasedStateMachine):
    """Whatever happens, what was said last is in the end what is true, under numbers that only go up."""

    def __init__(self) -> None:
        super().__init__()
        self.speaker = Speaker(nodes=40)
        self.links: set[int] = set()

    @rule(place=st.integers(2, 6), rtt=st.none() | st.floats(0, 1))
    def a_link_comes(self, place: int, rtt: float | None) -> None:
        self.links.add(place)
        self.speaker.up(place, rtt=rtt)

    @rule(place=st.integers(2, 6))
    def a_link_goes(self, place: int) -> None:
        self.links.discard(place)
        self.speaker.down(place)

    @rule(place=st.integers(2, 6), rtt=st.floats(0, 1), loss=st.floats(0, 1))
    def figures_change(self, place: int, rtt: float, loss: float) -> None:
        self.speaker.measured(place, rtt, loss)

    @rule()
    def somebody_comes_in(self) -> None:
        self.speaker.take(self.speaker.announce.inbound_link_accepted(self.speaker.now))

    @rule(boot=st.integers(1, 5), seq=st.integers(1, 9), same=st.booleans())
    def a_foreign_record_is_seen(self, boot: int, seq: int, same: bool) -> None:
        self.speaker.take(self.speaker.announce.own_record_seen(boot, seq, same_numbers=same, now=self.speaker.now))

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.speaker.run(seconds)

    @invariant()
    def numbers_only_go_up(self) -> None:
        numbers = [each.numbers for each in self.speaker.made]
        assert numbers == sorted(set(numbers))

    @invariant()
    def it_sleeps_only_if_what_it_said_is_true(self) -> None:
        if self.speaker.made and self.speaker.announce.deadline() is None:
            assert set(listed(self.speaker.newest())) == {handle(place) for place in self.links}

    def teardown(self) -> None:
        """In the end the world knows our links."""
        self.speaker.run(700.0)
        if self.speaker.made:
            assert set(listed(self.speaker.newest())) == {handle(place) for place in self.links}
        else:
            assert self.links == set()


AnnounceMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40)
TestAnnounce = AnnounceMachine.TestCase
