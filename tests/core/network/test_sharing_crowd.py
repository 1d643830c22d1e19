"""Sharing in a crowd: whatever the ways and the order, all nodes end with the same objects."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.core.effects import CloseLink, FetchConfig, SendMessage
from pulse.core.messages import ObjectKind, Objects, decode
from pulse.core.network.netconfig import SignedConfig
from pulse.core.trust.revocation import Revocation, digest_of
from pulse.core.trust.roles import SignedRoles
from pulse.core.types import LinkId
from tests.authority import node
from tests.core.network.sharers import FIRST, ROLES, Here, config, out, scribes_out

SAID: list[SignedConfig | Revocation] = [
    FIRST,
    *(config(generation) for generation in range(2, 5)),
    *(out(who) for who in ("mallory", "eve")),
    scribes_out("trudy"),
    scribes_out("eve"),
]


class Crowd:
    """Nodes joined by links; what they say is on its way until it is delivered, in order on each link."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.nodes: list[Here] = []
        self.ways: dict[tuple[int, int], list[Objects]] = {}
        self.fetches: list[tuple[int, int]] = []
        for _ in range(random.randint(2, 7)):
            self.comes()

    def comes(self) -> None:
        """A node comes and links with some of those that are there."""
        self.nodes.append(Here())
        newcomer = len(self.nodes) - 1
        for other in {self.random.randrange(newcomer) for _ in range(self.random.randint(1, 3)) if newcomer}:
            self.links(newcomer, other)

    def links(self, a: int, b: int) -> None:
        """A link between two nodes comes up; their hellos tell what they held."""
        hellos = {each: digest_of(self.nodes[each].statements.revoked()) for each in (a, b)}
        for here, there in ((a, b), (b, a)):
            self.ways[here, there] = []
            self.nodes[here].links(LinkId(there), node(str(there)), hellos[there])
            self.spread(here)

    def parts(self, a: int, b: int) -> None:
        """A link breaks; what was on its way over it is lost."""
        for here, there in ((a, b), (b, a)):
            del self.ways[here, there]
            self.nodes[here].did = self.nodes[here].sharing.link_closed(LinkId(there), self.nodes[here].now)
            self.spread(here)

    def says(self, speaker: int, signed: SignedRoles | SignedConfig | Revocation) -> None:
        """A node is given an object by whoever signed it."""
        here = self.nodes[speaker]
        here.did = here.sharing.object_made(ObjectKind(signed.data[0]), signed.data, here.now)
        self.spread(speaker)

    def spread(self, here: int) -> None:
        """Send what the node's last fact made it say."""
        for effect in self.nodes[here].did:
            match effect:
                case SendMessage(link, payload):
                    message = decode(payload)
                    assert isinstance(message, Objects)
                    self.ways[here, link].append(message)
                case FetchConfig(whom):
                    self.fetches.append((here, next(n for n in range(len(self.nodes)) if node(str(n)) == whom)))
                case CloseLink():
                    raise AssertionError("an honest neighbour was shut out")

    def step(self) -> bool:
        """One message or one answer arrives; False if nothing is on its way."""
        loaded = [way for way, queue in self.ways.items() if queue]
        if not loaded and not self.fetches:
            return False
        if self.fetches and (not loaded or self.random.random() < 0.3):
            asking, asked = self.fetches.pop(self.random.randrange(len(self.fetches)))
            held = self.nodes[asked].statements.config
            self.nodes[asking].fetched(node(str(asked)), held.data if held and self.random.random() < 0.8 else None)
            self.spread(asking)
        else:
            sender, receiver = self.random.choice(loaded)
            message = self.ways[sender, receiver].pop(0)
            self.nodes[receiver].hears(LinkId(sender), *message.items, complete=message.complete)
            self.spread(receiver)
        return True

    def rest(self) -> None:
        """Let time pass until nobody wants anything any more."""
        for _ in range(10_000):
            while self.step():
                pass
            due = [(each.sharing.deadline(), place) for place, each in enumerate(self.nodes)]
            waiting = [(when, place) for when, place in due if when is not None]
            if not waiting:
                return
            when, place = min(waiting)
            self.nodes[place].waits(max(0.0, when - self.nodes[place].now))
            self.spread(place)
        raise AssertionError("they never come to rest")


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_in_any_crowd_all_end_with_the_same_whatever_the_order(seed: int) -> None:
    random = Random(seed)
    crowd = Crowd(random)
    crowd.says(0, ROLES)
    crowd.rest()
    for signed in random.sample(SAID, len(SAID)):
        crowd.says(random.randrange(len(crowd.nodes)), signed)
        for _ in range(random.randrange(6)):
            crowd.step()
        if random.random() < 0.2:
            crowd.comes()
            crowd.rest()
        if random.random() < 0.3:
            cut = random.choice([*crowd.ways])
            crowd.parts(*cut)
            crowd.links(*cut)
    crowd.rest()

    assert [each.statements.config for each in crowd.nodes] == [config(4)] * len(crowd.nodes)
    held = [each.statements.held() for each in crowd.nodes]
    assert held == [held[0]] * len(held)
    assert crowd.nodes[0].statements.revoked() == {node("mallory"), node("eve"), node("trudy")}
    assert all(crowd.nodes[place].sharing.is_settled(LinkId(there)) for place, there in crowd.ways)
