"""Relays that promise a way and swallow what is sent on it: all that was sent finds another way, or never goes there.

CA and member reach each other over an honest relay and over the rogue, which tries to look like the better one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulse.core.paths.noderecord import HUB
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import HostPlan, NetworkPlan, Plan
from tests.e2e.exchange import arrives_whole, connected, digesting, noise
from tests.e2e.mesh import PATIENCE, Node, bring_up
from tests.namespace import require_root
from tests.security.frames import Kind
from tests.security.relay import LyingRelay, Passing
from tests.security.rogue import Rogue
from tests.security.scene import apart, bad_member

TWO_WAYS = Plan(
    hosts={name: HostPlan() for name in ("a", "b", "h", "r", "s")},
    networks=(NetworkPlan(("a", "b", "h", "r", "s")),),
)
"""Hosts a and b do not hear each other; h is honest, r and s are not."""

FLOWS = 12
SIZE = 20_000


@dataclass(frozen=True)
class Ways:
    """Two daemons that are apart, and an honest relay between them."""

    lab: Lab
    ca: Node
    member: Node
    honest: Node


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    require_root()
    with Lab(TWO_WAYS) as lab:
        pair = bring_up(lab, "--log-level", "debug")
        honest = Node(lab["h"])
        honest.join(pair.ca, pair.ca.token())
        honest.start("--log-level", "debug")
        honest.wait_linked(pair.ca, pair.member)
        with apart(pair.ca, pair.member):
            made = Ways(lab, pair.ca, pair.member, honest)
            wait_until(lambda: is_relayed(made), "the pair meets over the honest relay", PATIENCE)
            yield made
        assert pair.errors == []
        assert " ERROR " not in honest.log


def is_relayed(ways: Ways) -> bool:
    """True if the CA reaches the member over some relay."""
    (row,) = (peer for peer in ways.ca.status().peers if peer.v4 == ways.member.v4)
    return row.via != "" and ways.ca.pings(ways.member.v4, "-c", "1").code == 0


@pytest.fixture
def relay(ways: Ways) -> Iterator[LyingRelay]:
    """A rogue linked with both, honest so far and no worse than the honest one."""
    with Rogue(ways.lab["r"], bad_member(ways.ca)) as rogue:
        made = LyingRelay(rogue)
        made.joins(ways.ca, ways.member)
        wait_until(lambda: is_used(ways, made), "some flow goes over the rogue", PATIENCE)
        yield made
    wait_until(lambda: is_relayed(ways), "without the rogue all goes over the honest relay", PATIENCE)


def is_used(ways: Ways, relay: LyingRelay) -> bool:
    """True once flows of the pair go over the rogue; each has one way, so a few are tried."""
    arrive(ways)
    return relay.seen[Kind.RECORD] > 0


def arrive(ways: Ways) -> None:
    """Several flows from member to CA, each of which must arrive whole, whatever way it was put on."""
    data = noise("flow", SIZE)
    there = ways.ca.v4
    with digesting(ways.ca.host, there, FLOWS) as port:
        flows = [connected(ways.member.host, ways.member.v4, (there, port)) for _ in range(FLOWS)]
        for flow in flows:
            with flow:
                assert arrives_whole(flow, data)


def swallow(_: Passing) -> tuple[Passing, ...]:
    """Nothing goes on."""
    return ()


def test_a_relay_that_passes_on_everything_but_records_is_routed_around(ways: Ways, relay: LyingRelay) -> None:
    """It answers link probes, passes on sessions and path probes: only the missing records give it away."""
    relay.seen.clear()

    with relay.meddling(swallow, Kind.RECORD):
        wait_until(lambda: is_used(ways, relay), "it is asked to carry a record", PATIENCE)


def test_a_relay_that_keeps_the_probes_of_paths_is_routed_around(ways: Ways, relay: LyingRelay) -> None:
    with relay.meddling(swallow, Kind.PATH_PROBE):
        arrive(ways)
        assert ways.ca.tries("ping", ways.member.v4, "--count", "3").code == 0


def test_a_relay_that_keeps_all_but_answers_for_its_links_is_routed_around(ways: Ways, relay: LyingRelay) -> None:
    """Connections under way are moved: what is sent finds out within seconds."""
    data, there = noise("under way", SIZE), ways.ca.v4
    with digesting(ways.ca.host, there, FLOWS) as port:
        flows = [connected(ways.member.host, ways.member.v4, (there, port)) for _ in range(FLOWS)]
        relay.meddle = swallow
        for flow in flows:
            with flow:
                assert arrives_whole(flow, data)


def test_a_way_that_swallows_all_from_the_start_is_found_by_the_first_attempts(ways: Ways, relay: LyingRelay) -> None:
    relay.meddle = swallow

    arrive(ways)
    assert ways.ca.tries("ping", ways.member.v4, "--count", "3").code == 0


@pytest.mark.parametrize("flags", [0, HUB], ids=["plain", "hub"])
def test_a_link_that_one_end_alone_claims_carries_nothing(ways: Ways, flags: int) -> None:
    """The rogue has a link with the CA and says it had a faster one with the member, who knows nothing of it."""
    with Rogue(ways.lab["r"], bad_member(ways.ca)) as rogue:
        liar = LyingRelay(rogue)
        liar.joins(ways.ca)
        handles = [node.v4 for node in (ways.ca, ways.member, ways.honest)]
        liar.announces(*handles, flags=flags, rtt=0.0)
        wait_until(lambda: is_known(ways.member, rogue.handle), "the member has heard of the rogue", PATIENCE)

        arrive(ways)
        assert ways.ca.tries("ping", ways.member.v4, "--count", "3").code == 0

        assert not liar.seen[Kind.RECORD]
        assert not liar.seen[Kind.SESSION]


def is_known(node: Node, handle: str) -> bool:
    """True once the node knows a way to that handle."""
    return any(peer.v4 == handle and peer.link != "-" for peer in node.status().peers)


def test_a_shortcut_that_two_rogues_make_up_swallows_nothing_for_long(ways: Ways) -> None:
    """Each is linked with one of the pair; both swear that there is a link of no length between them."""
    with (
        Rogue(ways.lab["r"], bad_member(ways.ca)) as near,
        Rogue(ways.lab["s"], bad_member(ways.ca)) as far,
    ):
        one, other = LyingRelay(near), LyingRelay(far)
        one.joins(ways.ca)
        other.joins(ways.member)
        one.announces(ways.ca.v4, far.handle, rtt=0.0)
        other.announces(ways.member.v4, near.handle, rtt=0.0)
        wait_until(lambda: is_known(ways.ca, far.handle), "the CA believes in the shortcut", PATIENCE)

        for _ in range(3):
            arrive(ways)
        assert ways.ca.tries("ping", ways.member.v4, "--count", "3").code == 0


def test_a_relay_that_boasts_of_links_it_has_gets_no_more_than_its_share(ways: Ways, relay: LyingRelay) -> None:
    """It claims to be nearer than it is; both ends measure for themselves and the worse figure counts."""
    relay.announces(ways.ca.v4, ways.member.v4, ways.honest.v4, flags=HUB, rtt=0.0)
    relay.meddle = swallow

    for _ in range(3):
        arrive(ways)
