"""Port mapping under any order of facts and any answers: one question at a time, and only good addresses are told."""

from ipaddress import IPv4Address, IPv4Network
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pulse.core.addresses import split
from pulse.core.facts import PortMapped
from pulse.core.paths.portmap import AskRouter, Effect, Gateway, Grant, LookAtRouter, Mapper, PortMap
from tests.core.paths.homeward import CAFE, HOME

MESH = IPv4Network("100.64.0.0/16")
OUTER = st.sampled_from(["203.0.113.7", "203.0.113.8", "10.0.0.9", "0.0.0.1", "100.64.0.5", "192.168.1.2"])
GRANTS = st.builds(
    Grant,
    mapper=st.sampled_from(Mapper),
    outer=OUTER.map(IPv4Address),
    port=st.integers(0, 65536),
    lease=st.floats(0.0, 1e6),
    epoch=st.none() | st.floats(0.0, 1e6),
)


class PortMapMachine(RuleBasedStateMachine):
    """A router that says anything at all."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = PortMap(Random(3), lambda: MESH)
        self.now = 1000.0
        self.gateway: Gateway | None = None
        self.open: AskRouter | LookAtRouter | None = None
        self.told: str | None = None

    def take(self, effects: list[Effect]) -> None:
        for each in effects:
            match each:
                case AskRouter() | LookAtRouter():
                    assert self.open is None, "one question at a time"
                    assert each.gateway == self.gateway
                    self.open = each
                case PortMapped(address):
                    assert address != self.told, "only what is new is told"
                    self.told = address

    def answered(self) -> Gateway:
        assert self.open is not None
        gateway, self.open = self.open.gateway, None
        return gateway

    @rule(gateway=st.sampled_from([HOME, CAFE, None]))
    def the_network_changes(self, gateway: Gateway | None) -> None:
        if gateway != self.gateway:
            self.open = None
        self.gateway = gateway
        self.take(self.machine.gateway_found(gateway, self.now))

    @rule()
    def the_router_announces_itself(self) -> None:
        self.take(self.machine.router_announced(self.now))

    @precondition(lambda self: isinstance(self.open, AskRouter))
    @rule(grant=GRANTS)
    def it_grants(self, grant: Grant) -> None:
        self.take(self.machine.granted(self.answered(), grant, self.now))

    @precondition(lambda self: isinstance(self.open, AskRouter))
    @rule(wait=st.floats(0.0, 1e9))
    def it_refuses(self, wait: float) -> None:
        self.take(self.machine.refused(self.answered(), "no", wait, self.now))

    @precondition(lambda self: isinstance(self.open, AskRouter))
    @rule()
    def it_does_not_answer(self) -> None:
        self.take(self.machine.unanswered(self.answered(), self.now))

    @precondition(lambda self: isinstance(self.open, LookAtRouter))
    @rule(epoch=st.none() | st.floats(0.0, 1e6), outer=st.none() | OUTER)
    def it_is_looked_at(self, epoch: float | None, outer: str | None) -> None:
        self.take(self.machine.looked(self.answered(), epoch, IPv4Address(outer) if outer else None, self.now))

    @precondition(lambda self: isinstance(self.open, LookAtRouter))
    @rule(refused=st.booleans())
    def a_look_fails(self, refused: bool) -> None:
        failed = self.machine.look_refused if refused else self.machine.look_unanswered
        self.take(failed(self.answered(), self.now))

    @rule(seconds=st.floats(0.0, 10_000.0))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(100):
            due = self.machine.deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.take(self.machine.tick(self.now))
        else:
            raise AssertionError("it never sleeps")
        self.now = end

    @invariant()
    def what_is_told_is_what_is_held_and_can_be_dialled(self) -> None:
        held = self.machine.held
        assert self.told == (held.address if held else None)
        if self.told:
            host, _ = split(self.told)
            assert host in ("203.0.113.7", "203.0.113.8")

    @invariant()
    def it_sleeps_only_without_a_gateway_or_with_an_open_question(self) -> None:
        if self.machine.deadline() is None:
            assert self.gateway is None or self.open is not None


PortMapMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestPortMap = PortMapMachine.TestCase
