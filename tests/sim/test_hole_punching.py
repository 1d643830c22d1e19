"""Holes through NATs: which pairs get a direct link, how soon, and what takes it away."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.core.effects import SendProbe
from pulse.core.facts import LinkDown
from pulse.core.paths.traversal import RECENT
from tests.sim.meshes import reach
from tests.sim.model import MET_WITHIN
from tests.sim.nat import ADDRESS_RESTRICTED, FULL_CONE, PORT_RESTRICTED, SYMMETRIC, Depends, Kind
from tests.sim.node import SimNode
from tests.sim.sparse import sparse
from tests.sim.underlay import Carrier, Segment
from tests.sim.verdict import Direct, between
from tests.sim.world import INTERNET, World

SEEDS = range(3)

AT_ONCE = 1.0
"""Seconds from the first packet to a direct link between cone NATs (security.md §5)."""

ANY_SEED = settings(max_examples=4)


@pytest.fixture(autouse=True, scope="module")
def _sparse() -> Iterator[None]:
    with sparse(by_hash=0):
        yield


@dataclass
class Homes:
    """Two members at homes, and a mesh in public that neither of them is chosen by."""

    world: World
    public: list[SimNode]
    alice: SimNode
    bob: SimNode

    @property
    def nodes(self) -> list[SimNode]:
        return [*self.public, self.alice, self.bob]

    def talk(self) -> None:
        """The first packet from alice to bob, which takes a relay."""
        self.alice.wants(self.bob)

    def direct(self) -> bool:
        """There is a link between the two, over which both hear each other."""
        end = self.alice.running.standing.get(self.bob.id)
        return end is not None and end.link.delivers(end) and end.link.delivers(end.far)

    def met(self) -> None:
        """They talk, and have a direct link."""
        self.talk()
        self.world.until(self.direct, within=AT_ONCE)

    def told(self, kind: type, since: float = 0.0) -> int:
        """How many facts or effects of a kind the two have seen, as far as that is still known."""
        names = self.alice.name, self.bob.name
        lately = (entry for entry in self.world.flow.entries if entry.when >= since)
        return sum(entry.node in names and isinstance(entry.what, kind) for entry in lately)


def homes(seed: int, ours: Segment, theirs: Segment, delay: float | None = None) -> Homes:
    """A mesh that settled, with one node at each of two places."""
    world = World(seed)
    ca = world.node("ca", is_ca=True)
    public = [ca, *(world.node(f"relay{n}", dials=[ca]) for n in range(2))]
    alice, bob = (world.node(name, place, dials=public[1:]) for name, place in (("alice", ours), ("bob", theirs)))
    for node in (*public, alice, bob):
        node.machine.delay = world.random.uniform(0.001, 0.05) if delay is None else delay
        node.start()
    world.run(15)
    here = Homes(world, public, alice, bob)
    if not reach(*here.nodes) or here.direct():
        raise world.failure("the mesh did not come up, or the two have met before they had a word")
    return here


def behind(ours: Kind, theirs: Kind, seed: int = 1) -> Homes:
    """The two behind NATs of these kinds."""
    return homes(seed, Segment("ours", "192.168", nat=ours), Segment("theirs", "192.168", nat=theirs))


@pytest.mark.parametrize(
    ("ours", "theirs", "direct"),
    [
        (FULL_CONE, FULL_CONE, True),
        (FULL_CONE, ADDRESS_RESTRICTED, True),
        (FULL_CONE, PORT_RESTRICTED, True),
        (FULL_CONE, SYMMETRIC, True),
        (ADDRESS_RESTRICTED, ADDRESS_RESTRICTED, True),
        (ADDRESS_RESTRICTED, PORT_RESTRICTED, True),
        (ADDRESS_RESTRICTED, SYMMETRIC, True),
        (PORT_RESTRICTED, PORT_RESTRICTED, True),
        (PORT_RESTRICTED, SYMMETRIC, False),
        (SYMMETRIC, SYMMETRIC, False),
    ],
)
@ANY_SEED
@given(seed=st.integers(0, 2**32 - 1))
def test_a_direct_link_follows_from_the_nats(ours: Kind, theirs: Kind, direct: bool, seed: int) -> None:
    here = behind(ours, theirs, seed)

    here.talk()
    here.world.run(AT_ONCE if direct else MET_WITHIN)

    assert here.direct() is direct
    assert reach(*here.nodes)


@ANY_SEED
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from([FULL_CONE, PORT_RESTRICTED, SYMMETRIC]))
def test_a_node_in_public_and_one_at_home_meet_whoever_asks(seed: int, kind: Kind) -> None:
    here = homes(seed, INTERNET, Segment("theirs", "192.168", nat=kind))

    here.met()


@pytest.mark.parametrize(("hairpin", "direct"), [(True, True), (False, False)])
@ANY_SEED
@given(seed=st.integers(0, 2**32 - 1))
def test_two_homes_of_one_carrier_meet_if_its_nat_leads_back_to_itself(hairpin: bool, direct: bool, seed: int) -> None:
    carrier = Carrier("carrier", replace(PORT_RESTRICTED, hairpin=hairpin))
    ours, theirs = (Segment(name, "192.168", nat=ADDRESS_RESTRICTED, carrier=carrier) for name in ("ours", "theirs"))
    here = homes(seed, ours, theirs)

    here.talk()
    here.world.run(MET_WITHIN)

    assert here.direct() is direct


@pytest.mark.parametrize("seed", SEEDS)
def test_two_nats_in_a_row_let_through_what_both_let_through(seed: int) -> None:
    carrier = Carrier("carrier", ADDRESS_RESTRICTED)
    ours = Segment("ours", "192.168", nat=ADDRESS_RESTRICTED, carrier=carrier)
    here = homes(seed, ours, Segment("theirs", "192.168", nat=SYMMETRIC))

    here.met()


@pytest.mark.parametrize("seed", SEEDS)
def test_where_probes_get_lost_the_next_ones_get_through(seed: int) -> None:
    here = behind(PORT_RESTRICTED, PORT_RESTRICTED, seed)
    for node in (here.alice, here.bob):
        here.world.reshape(node, loss=0.2)

    here.talk()
    here.world.until(here.direct, within=MET_WITHIN)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_link_that_idles_keeps_its_hole_open(seed: int) -> None:
    here = behind(PORT_RESTRICTED, PORT_RESTRICTED, seed)
    here.met()
    # Of two links that came up at once one gives way first.
    here.world.run(5.0)
    since = here.world.now
    here.world.run(2 * RECENT)

    assert here.direct()
    assert here.told(LinkDown, since) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_direct_link_outlives_every_relay(seed: int) -> None:
    here = behind(PORT_RESTRICTED, PORT_RESTRICTED, seed)
    here.met()
    for node in here.public:
        node.kill()
    here.world.run(60)

    assert reach(here.alice, here.bob)


@pytest.mark.parametrize("after", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_relay_that_dies_while_they_punch_holds_them_up_and_no_more(seed: int, after: float) -> None:
    here = behind(PORT_RESTRICTED, PORT_RESTRICTED, seed)
    here.talk()
    here.world.run(after)
    for relay in here.public[1:]:
        relay.kill()

    here.world.until(here.direct, within=MET_WITHIN)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_nat_that_reboots_costs_the_link_and_they_meet_again(seed: int) -> None:
    here = behind(PORT_RESTRICTED, PORT_RESTRICTED, seed)
    here.met()
    here.world.reboot(here.alice.machine.segments[0])

    here.world.run(4)
    here.world.until(lambda: here.direct() and reach(*here.nodes), within=MET_WITHIN)


@pytest.mark.parametrize(
    ("elsewhere", "direct"),
    [(INTERNET, True), (Segment("hotel", "10.7", nat=PORT_RESTRICTED), True), (Segment("cafe", "10.7"), False)],
    ids=["public", "cone", "symmetric"],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_who_roams_is_met_again_as_the_next_nat_allows(seed: int, elsewhere: Segment, direct: bool) -> None:
    here = behind(PORT_RESTRICTED, PORT_RESTRICTED, seed)
    here.met()
    here.world.move(here.bob, elsewhere)
    here.world.run(MET_WITHIN)

    assert here.direct() is direct
    assert reach(*here.nodes)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_traffic_nobody_punches_and_without_hope_not_for_ever(seed: int) -> None:
    here = behind(PORT_RESTRICTED, SYMMETRIC, seed)
    here.world.run(60)
    assert here.told(SendProbe) == 0

    here.talk()
    here.world.run(RECENT + MET_WITHIN)
    tried = here.told(SendProbe)
    assert tried > 0
    here.world.run(RECENT)
    assert here.told(SendProbe) == tried


@pytest.mark.parametrize("mapping", Depends)
@pytest.mark.parametrize("filtering", Depends)
def test_every_kind_of_nat_against_every_other_is_as_the_reference_says(mapping: Depends, filtering: Depends) -> None:
    for theirs in (Kind(*each) for each in product(Depends, Depends)):
        here = behind(Kind(mapping, filtering), theirs, seed=int(mapping))
        here.talk()
        here.world.run(AT_ONCE)
        verdict = between(here.alice.machine, here.bob.machine)

        assert verdict is Direct.MAY or here.direct() is (verdict is Direct.MUST), theirs
