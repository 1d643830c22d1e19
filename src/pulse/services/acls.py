"""Who may reach whom: tells the rules in force, has them edited, and says beforehand what comes of an edit.

Invariant: what is told of an edit was worked out on the very config it is made for, or it is not made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from pulse import clock
from pulse.core.mesh import Mesh
from pulse.core.messages import printable
from pulse.core.network import ruling
from pulse.core.network.assertions import breaches, describe_assertion
from pulse.core.network.consequences import Through, check_assertions, difference, through
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edit, Edits, edited
from pulse.core.network.explain import Explanation, Flow, called, explain
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.policy import Rule
from pulse.core.network.reach import Change
from pulse.core.network.ruletext import describe, flows_text, ports_text, protocols_text
from pulse.core.network.ruling import (
    AssertionAdded,
    AssertionRemoved,
    GroupRemoved,
    GroupSet,
    RuleAdded,
    RuleMoved,
    RuleRemoved,
)
from pulse.core.network.typed import typed_assertion, typed_flow, typed_rule
from pulse.core.types import NodeId
from pulse.errors import ConfigError, Conflict, NotFound, Refused
from pulse.schemas.policy import (
    ALLOW,
    DENY,
    AssertionRef,
    AssertionRequest,
    AssertionView,
    Connection,
    FlowRequest,
    FlowVerdict,
    GroupRef,
    GroupRequest,
    GroupView,
    Judged,
    Missed,
    PairChange,
    Policy,
    PolicyChange,
    RuleFile,
    RuleMove,
    RuleRef,
    RuleRequest,
    RuleText,
    RuleView,
)

Making = Callable[[Draft], Edit]
"""The edit that is wanted of a draft."""


@dataclass(frozen=True, slots=True)
class AclService:
    """One node as a place to look at rules, and to edit them from."""

    mesh: Mesh
    edit: Callable[[Edits], Awaitable[SignedConfig]]
    """Has edits made, here or by the scribe."""

    # Looking

    async def policy(self) -> Policy:
        """Rules, tests and groups in force. Raises Refused before a network config is."""
        config = self.mesh.statements.config_in_force()
        acl, groups = config.config.acl, config.config.groups
        return Policy(
            version=config.version,
            open=not acl,
            rules=[self._rule(acl, place) for place in range(len(acl))],
            tests=self._tests(self._draft(config)),
            groups=[_group(name, members) for name, members in sorted(groups.items())],
        )

    async def explain(self, wanted: FlowRequest) -> FlowVerdict:
        """Whether a flow is allowed, and why. Raises NotFound, Conflict, ConfigError or Refused."""
        config, members = self.mesh.statements.config_in_force(), self.mesh.members
        ends = [members.resolve(each).node_id for each in (wanted.source, wanted.destination)]
        if ends[0] == ends[1]:
            raise Refused(f"{members.label_of(ends[0])} is one node, and rules are for two. Name another: pulse status")
        protocol, port = typed_flow(wanted.proto, wanted.port)
        source, destination = (each for node in ends if (each := self.mesh.subject(node)) is not None)
        now = _now()
        moment = self.mesh.timetable.moment(now)
        found = explain(self.mesh.rulebook(now), Flow(source, destination, protocol, port), moment)
        enforced, known = self._enforced(*ends)
        return FlowVerdict(
            source=members.label_of(ends[0]),
            destination=members.label_of(ends[1]),
            proto=protocols_text([protocol]),
            port=port,
            allowed=found.allowed,
            sentence=_sentence(found, config.config.acl),
            rule=None if found.place is None else self._rule(config.config.acl, found.place),
            nearest=self._missed(found, config.config.acl),
            fix=found.fix,
            enforced=enforced,
            relays_known=known,
        )

    async def diff(self, wanted: RuleFile) -> PolicyChange:
        """What would come of the rules of a file in place of those in force."""
        config = self.mesh.statements.config_in_force()
        before = self._draft(config)
        after = replace(before, config=structs.replace(before.config, acl=[], last_rule=0))
        for each in wanted.rules:
            after = ruling.ruled(after, _typed(each, 0, ahead=False))
        check_assertions(before, after, clock.wall())
        return self._told(before, after, config, None, dry_run=True)

    # Edits

    async def add(self, wanted: RuleRequest) -> PolicyChange:
        """Add a rule. Raises what reading and judging it raises, and what the scribe does."""
        if wanted.ttl is not None and not self.mesh.timetable.moment(_now()).trusted:
            raise Refused(
                "this machine's clock is off from those of its neighbours, so the rule would end at the wrong time.\n"
                "Set the clock (pulse status), or type this where it is right"
            )
        edit = _typed(wanted, wanted.place, ahead=wanted.ahead)
        return await self._make(lambda _: edit, wanted, by_number=wanted.place > 0)

    async def remove(self, wanted: RuleRef) -> PolicyChange:
        """Take a rule away."""
        return await self._make(
            lambda draft: RuleRemoved(_meant(draft, wanted)), wanted, by_number=wanted.index is not None
        )

    async def move(self, wanted: RuleMove) -> PolicyChange:
        """Put a rule elsewhere."""
        return await self._make(lambda draft: RuleMoved(_meant(draft, wanted), wanted.place), wanted, by_number=True)

    async def add_test(self, wanted: AssertionRequest) -> PolicyChange:
        """State what rules must always let pass, or never."""
        edit = typed_assertion(
            wanted.source,
            wanted.destination,
            allow=wanted.expect == ALLOW,
            proto=wanted.proto,
            port=wanted.port,
        )
        return await self._make(lambda _: edit, wanted)

    async def remove_test(self, wanted: AssertionRef) -> PolicyChange:
        """State it no more."""
        return await self._make(lambda _: AssertionRemoved(wanted.id), wanted)

    async def set_group(self, wanted: GroupRequest) -> PolicyChange:
        """Say who is in a group, all of them."""
        edit = GroupSet(wanted.name, list(wanted.members), wanted.ahead)
        return await self._make(lambda _: edit, wanted)

    async def remove_group(self, wanted: GroupRef) -> PolicyChange:
        """Take a group away."""
        return await self._make(lambda _: GroupRemoved(wanted.name), wanted)

    # Details

    def _draft(self, config: SignedConfig) -> Draft:
        return Draft.of(config, self.mesh.members, self.mesh.statements.revoked())

    async def _make(self, making: Making, wanted: Judged | RuleRequest, *, by_number: bool = False) -> PolicyChange:
        """Make an edit on the config in force here; on a newer one if that came meanwhile.

        Where it says a number it is not made on a newer one: that may be another rule's by now.
        """
        while True:
            config = self.mesh.statements.config_in_force()
            before = self._draft(config)
            edit = making(before)
            edits = Edits([edit], config.number, wanted.force, self._through(wanted.through))
            after = edited(before, edits, clock.wall())
            if wanted.dry_run:
                return self._told(before, after, config, edit, dry_run=True)
            try:
                return self._told(before, after, await self.edit(edits), edit, dry_run=False)
            except Conflict:
                if by_number or self.mesh.statements.config_in_force().number == config.number:
                    raise

    def _told(
        self, before: Draft, after: Draft, config: SignedConfig, edit: Edit | None, *, dry_run: bool
    ) -> PolicyChange:
        found = difference(before, after, clock.wall())
        return PolicyChange(
            version=config.version,
            dry_run=dry_run,
            opens=bool(before.config.acl) and not after.config.acl,
            rule=self._edited(before, after, edit),
            gained=[self._pair(each, found.named) for each in found.gained],
            lost=[self._pair(each, found.named) for each in found.lost],
            gained_pairs=found.gained_pairs,
            lost_pairs=found.lost_pairs,
            whole=found.whole,
            test=self._stated(before, after, edit),
        )

    def _edited(self, before: Draft, after: Draft, edit: Edit | None) -> RuleView | None:
        """The rule an edit was about: as it stands now, or stood last."""
        old, new = before.config.acl, after.config.acl
        match edit:
            case RuleAdded():
                known = {each.id for each in old}
                return next((self._rule(new, place) for place, each in enumerate(new) if each.id not in known), None)
            case RuleMoved(rule_id) | RuleRemoved(rule_id):
                rules = old if isinstance(edit, RuleRemoved) else new
                return next((self._rule(rules, place) for place, each in enumerate(rules) if each.id == rule_id), None)
            case _:
                return None

    def _stated(self, before: Draft, after: Draft, edit: Edit | None) -> AssertionView | None:
        """The test an edit was about: as it stands now, or stood last."""
        if not isinstance(edit, AssertionAdded | AssertionRemoved):
            return None
        one, other = (after, before) if isinstance(edit, AssertionAdded) else (before, after)
        elsewhere = {printable(each.id) for each in other.config.tests}
        return next((each for each in self._tests(one) if each.id not in elsewhere), None)

    def _pair(self, change: Change, named: Sequence[int]) -> PairChange:
        label = self.mesh.members.label_of
        return PairChange(label(change.source.node), label(change.destination.node), flows_text(change.flows, named))

    def _rule(self, rules: Sequence[Rule], place: int) -> RuleView:
        rule = rules[place]
        return RuleView(
            index=place + 1,
            id=printable(rule.id),
            action=ALLOW if rule.allow else DENY,
            source=[printable(each) for each in rule.sources],
            destination=[printable(each) for each in rule.destinations],
            proto=list(filter(None, protocols_text(rule.protocols).split(","))),
            ports=list(filter(None, ports_text(rule.ports).split(","))),
            expires=rule.expires,
            window=str(rule.window) if rule.window else "",
            redundant=rule.redundant,
            note=printable(rule.note),
            state=self._state(rule),
            line=describe(rule),
        )

    def _state(self, rule: Rule) -> str:
        moment = self.mesh.timetable.moment(_now())
        if rule.applies(moment):
            return "on"
        if not moment.trusted:
            return "unsure"
        return "over" if rule.expires is not None and moment.wall >= rule.expires else "closed"

    def _tests(self, draft: Draft) -> list[AssertionView]:
        config = draft.config
        found = (
            breaches(config.tests, config.acl, draft.roll.subjects, config.groups, clock.wall()) if config.tests else []
        )
        broken = {each.assertion.id: f"{called(each.source)} → {called(each.destination)}" for each in found}
        return [
            AssertionView(
                id=printable(each.id),
                source=printable(each.source),
                destination=printable(each.destination),
                expect=ALLOW if each.allow else DENY,
                proto=protocols_text([each.protocol]),
                port=each.port,
                holds=each.id not in broken,
                line=describe_assertion(each),
                problem=broken.get(each.id, ""),
            )
            for each in config.tests
        ]

    def _missed(self, found: Explanation, rules: Sequence[Rule]) -> Missed | None:
        near = found.nearest
        return near and Missed(self._rule(rules, near.place), [each.text for each in near.lacks])

    def _enforced(self, source: NodeId, destination: NodeId) -> tuple[list[str], bool]:
        """Who judges packets on the way, as far as it is known here."""
        path = self.mesh.routing.path_to(destination) if source == self.mesh.me.node_id else None
        relays = path.hops[:-1] if path else ()
        return [self.mesh.members.label_of(each) for each in (source, *relays, destination)], path is not None

    def _through(self, connection: Connection | None) -> Through | None:
        """The connection somebody types through, if both its ends are in the mesh."""
        if connection is None:
            return None
        return through(self.mesh.members, connection.client, connection.server, connection.port)


def _typed(text: RuleText, place: int, *, ahead: bool) -> RuleAdded:
    return typed_rule(
        _side(text.source),
        _side(text.destination),
        allow=text.action == ALLOW,
        protocols=map(str, text.proto),
        ports=map(str, text.ports),
        expires=text.expires if text.ttl is None else clock.wall() + text.ttl,
        window=text.window,
        redundant=text.redundant,
        note=text.note,
        place=place,
        ahead=ahead,
    )


def _group(name: str, members: Sequence[str]) -> GroupView:
    return GroupView(printable(name), [printable(each) for each in members])


def _side(words: str | list[str]) -> list[str]:
    return [words] if isinstance(words, str) else words


def _meant(draft: Draft, wanted: RuleRef) -> str:
    """The id of the rule that is named by number or id."""
    rules = draft.config.acl
    if wanted.id is not None:
        return wanted.id
    if wanted.index is None:
        raise ConfigError("say which rule: index (its number) or id. See: pulse acl list")
    if not 1 <= wanted.index <= len(rules):
        there = f"there are {len(rules)}" if rules else "there are none"
        raise NotFound(f"there is no rule {wanted.index} ({there}). See them: pulse acl list")
    return rules[wanted.index - 1].id


def _sentence(found: Explanation, rules: Sequence[Rule]) -> str:
    if found.place is not None:
        verdict = "ALLOWED" if found.allowed else "DENIED"
        return f"{verdict} by rule {found.place + 1}: {describe(rules[found.place])}"
    if found.allowed:
        return "ALLOWED: there are no rules, so everybody may reach everybody."
    return "DENIED by the end of the list (rules exist, none matched)."


def _now() -> float:
    return asyncio.get_running_loop().time()
