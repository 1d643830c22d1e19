"""What is done while a node waits to be killed, and what must hold afterwards.

The invariants are those of docs/reference/faults.md. After each kill, whatever was done to whom:
I3 (`edited`), I5 and I9 (`invariants`), I6 (`World.met`: the victim is linked again and nobody helped), I8 (who was
revoked stays so). By the stories themselves: I1 and I2 in each `check`, I4 in `join`.
Not here: I7 (these nodes have no TUN; tests/killpoints/random.py has) and I10 (nothing is sent; tests/security).
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import json

from pulse.calls.acls import AclCalls
from pulse.calls.apikeys import ApiKeyCalls
from pulse.calls.ca import CaCalls
from pulse.calls.events import EventCalls
from pulse.calls.roles import RoleCalls
from pulse.errors import PulseError
from pulse.lab.host import wait_until
from pulse.schemas.cert import CaRotation
from pulse.schemas.journal import JournalEntry
from pulse.schemas.tokens import TokenInfo
from tests.killpoints.invariants import all_certificates_are_journaled, all_is_private_and_whole
from tests.killpoints.machine import PATIENCE, Done, Machine, random_node

HEARING = 10.0
"""Seconds for a member to hear what the scribe wrote."""

NETWORK = ("--network", "killed")

SHORT_LIFE = 15
"""Seconds that certificates are good in the stories of their renewal, which comes after two thirds of them."""

SETTLING_LIFE = 30
"""The same where the CA's key is replaced: all links show the next certificate within 4 s, and nothing else renews."""

KEY_STEPS = ("CA key made", "CA signs with its next key", "CA key of before retired")
"""What the CA's journal tells of one replacement of its key."""


@dataclass
class World:
    """A CA that is scribe too, and a member that wears names."""

    place: Path
    life: int | None = None
    """Seconds that certificates are good, if not as long as ever."""
    keeper: Machine = field(init=False)
    member: Machine = field(init=False)
    newest: tuple[int, ...] = (0, 0)
    """Number of the newest network config anybody was told of."""
    revoked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        settings = {"PULSE_CA_CERT_LIFE": str(self.life)} if self.life else {}
        self.keeper, self.member = Machine.at(self.place / "keeper", **settings), Machine.at(self.place / "member")
        self.keeper.start("--ca", "--scribe", *NETWORK)
        joined = self.member.pulse("join", self.invite())
        assert joined.code == 0, joined
        self.member.start()

        self.met()

    def met(self) -> None:
        """Wait until the CA knows the member again, and each has a path to the other."""
        wait_until(lambda: self._sees(self.keeper) and self._sees(self.member), "the two are linked", PATIENCE)

    def _sees(self, machine: Machine) -> bool:
        with machine.client as client:
            return any(row.link != "-" for row in client.status().peers)

    def close(self) -> None:
        """End both nodes."""
        self.member.stop()
        self.keeper.stop()

    def invite(self) -> str:
        """One for one machine."""
        return self.keeper.pulse("invite").out.strip()

    @property
    def member_id(self) -> str:
        with self.member.client as client:
            return client.identity().id

    def tokens(self) -> dict[str, TokenInfo]:
        """The CA's tokens by their ids."""
        listed = self.keeper.pulse("token", "list", "--json").out
        return {each.id: each for each in json.decode(listed, type=list[TokenInfo])}

    def issued(self) -> list[str]:
        """Nodes for which certificates are in the journal, in order."""
        return [str(each.fields["node"]) for each in self.journal() if each.event == "certificate issued"]

    def journal(self) -> list[JournalEntry]:
        """The CA's."""
        with self.keeper.client as client:
            return CaCalls(client).ca_log()

    def edited(self) -> tuple[int, ...]:
        """Make an edit that is acknowledged; its config must be newer than all that were."""
        done = self.keeper.pulse("tag", self.member_id, f"t{secrets.token_hex(4)}", "--json")
        assert done.code == 0, done
        taken = self.keeper.pulse("untag", self.member_id, json.decode(done.out)["tags"][-1], "--json")
        assert taken.code == 0, taken
        return tuple(map(int, json.decode(taken.out)["version"].split(".")))

    def after_all(self) -> None:
        """What holds whatever was done to whom."""
        verified = self.keeper.pulse("ca", "log", "--verify")
        assert verified.code == 0, verified
        all_certificates_are_journaled(self.keeper.data)
        for machine in (self.keeper, self.member):
            with machine.client as client:
                found = EventCalls(client).events_verify()
            assert found.broken is None, (machine, found)
            all_is_private_and_whole(machine.data)
        number = self.edited()
        assert number > self.newest, (number, self.newest)
        self.newest = number
        for node in sorted(self.revoked)[:1]:
            again = self.keeper.pulse("revoke", "--node", node)
            assert "revoked already" in again.err, again


@dataclass(frozen=True, slots=True)
class Story:
    """One thing people do."""

    name: str
    victim: Callable[[World], Machine]
    begin: Callable[[World], Callable[[], Done]]
    """Makes ready what `act` needs, which is what is returned."""
    check: Callable[[World, Done], None]
    """Once the victim runs again; told how `act` ended."""
    life: int | None = None
    """Seconds that certificates are good in the world it needs, if not as long as ever."""
    once: bool = False
    """It can be lived once in a world."""


def keeper(world: World) -> Machine:
    """The CA, which is scribe too."""
    return world.keeper


def _member(world: World) -> Machine:
    return world.member


def _made_token() -> Story:
    known: dict[str, set[str]] = {}

    def begin(world: World) -> Callable[[], Done]:
        known["before"] = {*world.tokens()}
        return lambda: world.keeper.pulse("token", "create", "--max-uses", "1", "--json")

    def check(world: World, done: Done) -> None:
        made = {*world.tokens()} - known["before"]
        assert len(made) <= 1
        if done.code == 0:
            assert made == {json.decode(done.out)["info"]["id"]}

    return Story("token", keeper, begin, check)


def _joined() -> Story:
    asked: dict[str, str | Machine] = {}

    def begin(world: World) -> Callable[[], Done]:
        joiner = Machine.at(world.place / f"joiner-{secrets.token_hex(4)}")
        made = json.decode(world.keeper.pulse("token", "create", "--max-uses", "1", "--json").out)
        asked.update(joiner=joiner, token=made["token"], id=made["info"]["id"])
        return lambda: joiner.pulse("join", world.keeper.address, "--token", made["token"])

    def check(world: World, done: Done) -> None:
        joiner = asked["joiner"]
        assert isinstance(joiner, Machine)
        if done.code:
            again = joiner.pulse("join", world.keeper.address, "--token", str(asked["token"]))
            assert again.code == 0, again
        late = Machine.at(world.place / f"late-{secrets.token_hex(4)}")
        refused = late.pulse("join", world.keeper.address, "--token", str(asked["token"]))
        assert refused.code == 3, refused
        assert world.tokens()[str(asked["id"])].uses == 1
        issued = world.issued()
        assert len({*issued}) == len(issued)

    return Story("join", keeper, begin, check)


def _named(victim: Callable[[World], Machine], what: str) -> Story:
    asked: dict[str, str] = {}

    def name(world: World) -> str:
        with world.keeper.client as client:
            return next(row.name for row in client.status().peers if row.id == asked["node"])

    def begin(world: World) -> Callable[[], Done]:
        asked.update(node=world.member_id, name=f"n-{secrets.token_hex(4)}")
        asked["before"] = name(world)
        return lambda: renamed(world)

    def renamed(world: World) -> Done:
        done = world.keeper.pulse("name", asked["node"], asked["name"])
        if victim(world) is world.member:
            # What it hears it writes a moment later, if it is not dead by then.
            with suppress(PulseError):
                wait_until(lambda: called(world, asked["name"]), "the member heard", HEARING)
        return done

    def called(world: World, name: str) -> bool:
        with world.member.client as client:
            return client.status().node.name == name

    def check(world: World, done: Done) -> None:
        assert name(world) in ({asked["name"]} if done.code == 0 else {asked["name"], asked["before"]})
        agreed = name(world)
        wait_until(lambda: called(world, agreed), f"the member is called {agreed}", PATIENCE)

    return Story(what, victim, begin, check)


def _revoked() -> Story:
    asked: dict[str, str] = {}

    def begin(world: World) -> Callable[[], Done]:
        asked["node"] = random_node()
        return lambda: world.keeper.pulse("revoke", "--node", asked["node"])

    def check(world: World, done: Done) -> None:
        again = world.keeper.pulse("revoke", "--node", asked["node"])
        assert "revoked already" in again.err or (done.code != 0 and again.code == 0), (done, again)
        world.revoked.add(asked["node"])

    return Story("revoke", keeper, begin, check)


def _granted() -> Story:
    asked: dict[str, bool] = {}

    def operates(world: World) -> bool:
        with world.keeper.client as client:
            return any(each.role == "operator" for each in RoleCalls(client).roles().roles)

    def begin(world: World) -> Callable[[], Done]:
        asked["before"] = operates(world)
        verb = "ungrant" if asked["before"] else "grant"
        node = world.member_id
        return lambda: world.keeper.pulse("ca", verb, node, "operator")

    def check(world: World, done: Done) -> None:
        if done.code == 0:
            assert operates(world) is not asked["before"]

    return Story("grant", keeper, begin, check)


def _made_key() -> Story:
    asked: dict[str, str] = {}

    def names(world: World) -> set[str]:
        with world.keeper.client as client:
            return {each.name for each in ApiKeyCalls(client).list_api_keys()}

    def begin(world: World) -> Callable[[], Done]:
        for each in names(world):
            assert world.keeper.pulse("api-key", "revoke", each).code == 0
        asked["name"] = f"k-{secrets.token_hex(4)}"
        return lambda: world.keeper.pulse("api-key", "create", asked["name"])

    def check(world: World, done: Done) -> None:
        made = names(world)
        assert made == {asked["name"]} or (made == set() and done.code != 0), (made, done)

    return Story("key", keeper, begin, check)


def _edited(victim: Callable[[World], Machine], what: str) -> Story:
    """An operator's edit, which travels to the scribe and back."""
    asked: dict[str, str] = {}

    def groups(machine: Machine) -> set[str]:
        with machine.client as client:
            return {each.name for each in AclCalls(client).policy().groups}

    def begin(world: World) -> Callable[[], Done]:
        for each in groups(world.keeper):
            assert world.keeper.pulse("groups", "remove", each).code == 0
        operates = world.keeper.pulse("ca", "grant", world.member_id, "operator")
        assert operates.code == 0, operates
        wait_until(lambda: not groups(world.member), "the member heard that no group is left", PATIENCE)
        asked["name"] = f"g-{secrets.token_hex(4)}"
        return lambda: world.member.pulse("groups", "set", asked["name"], "tag:any", "--ahead")

    def check(world: World, done: Done) -> None:
        made = groups(world.keeper)
        assert made == {asked["name"]} or (made == set() and done.code != 0), (made, done)
        wait_until(lambda: groups(world.member) == made, "the member agrees with the scribe", PATIENCE)

    return Story(what, victim, begin, check)


def _renewed(victim: Callable[[World], Machine], what: str) -> Story:
    """The next certificate of the victim; nobody asks for it, so nothing is acknowledged but by the CA's journal."""
    asked: dict[str, float] = {}

    def end(world: World) -> float:
        try:
            with victim(world).client as client:
                return client.certificate().not_after
        except PulseError:
            return 0.0

    def begin(world: World) -> Callable[[], Done]:
        asked["before"] = end(world)
        return lambda: waited(world)

    def waited(world: World) -> Done:
        with suppress(PulseError):
            wait_until(lambda: end(world) != asked["before"], "the next certificate, or death", 2.0 * SHORT_LIFE)
        return Done(0, "", "")

    def check(world: World, _: Done) -> None:
        wait_until(lambda: end(world) > asked["before"], "the victim has its next certificate", PATIENCE)
        world.met()

    return Story(what, victim, begin, check, SHORT_LIFE)


def rotated(victim: Callable[[World], Machine], what: str, until: str = "done") -> Story:
    """Another key for the CA, up to a step of that; a network has few in its life, so each begins with the first."""
    asked: dict[str, set[bytes]] = {}

    def stands(world: World) -> CaRotation:
        with world.keeper.client as client:
            return CaCalls(client).ca_rotation()

    def has_come(world: World) -> bool:
        found = stands(world)
        return found.number == 1 and found.step in (until, "done")

    def begin(world: World) -> Callable[[], Done]:
        asked["keys"] = {(world.keeper.data / "ca" / "key").read_bytes()}
        return lambda: begun(world)

    def begun(world: World) -> Done:
        done = world.keeper.pulse("ca", "rotate", "--yes")
        # Whoever is killed later on is killed while it waits for nobody's answer.
        with suppress(PulseError):
            wait_until(lambda: not victim(world).is_up() or has_come(world), "the key is another, or death", PATIENCE)
        return done

    def check(world: World, done: Done) -> None:
        found = stands(world)
        assert found.number == 1 or (found.step == "done" and done.code != 0), (found, done)
        if found.number == 0:
            again = world.keeper.pulse("ca", "rotate", "--yes")
            assert again.code == 0, again
        wait_until(lambda: has_come(world), f"it goes on by itself until {until}", PATIENCE)
        told = [each.event for each in world.journal() if each.event.startswith("CA ")]
        assert told == [*KEY_STEPS[: len(told)]], told
        if until == "done":
            assert len(told) == len(KEY_STEPS), told
            assert (world.keeper.data / "ca" / "key").read_bytes() not in asked["keys"]
            world.met()

    return Story(what, victim, begin, check, SETTLING_LIFE, once=True)


STORIES = {
    story.name: story
    for story in (
        _made_token(),
        _joined(),
        _named(keeper, "name"),
        _named(_member, "hear"),
        _revoked(),
        _granted(),
        _made_key(),
        _edited(keeper, "edit"),
        _edited(_member, "ask"),
        _renewed(keeper, "renew-ca"),
        _renewed(_member, "renew"),
        rotated(keeper, "rotate"),
        rotated(_member, "believe"),
    )
}
"""By name; `hear` kills the member while it takes in what the scribe wrote, `ask` the operator who asks for it,
`believe` the member that learns of the CA's next key and renews under it."""
