"""The whole network config as one file: written out, compared with what is in force, and put in its place.

Invariant: what a file says is read on the very config it is compared with, and made of that one whole or not at all.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pulse import clock
from pulse.core.durations import duration_text
from pulse.core.messages import printable
from pulse.core.network.assertions import Assertion
from pulse.core.network.comparison import compared
from pulse.core.network.consequences import difference, through
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edit, Edits, edited
from pulse.core.network.naming import NamingReplaced
from pulse.core.network.netconfig import SignedConfig, spelled
from pulse.core.network.policy import Rule
from pulse.core.network.reach import Change
from pulse.core.network.replacing import RulingReplaced
from pulse.core.network.routes import Route
from pulse.core.network.ruletext import flows_text, protocol_words
from pulse.core.network.sections import RoutesReplaced, TemplatesReplaced, ZonesReplaced
from pulse.core.network.statements import Statements
from pulse.core.network.templates import Template, whole_seconds
from pulse.core.network.typed import typed_assertion, typed_rule
from pulse.core.network.zones import ZoneRecord
from pulse.core.trust.identity import node_bytes, node_from_bytes
from pulse.core.trust.members import Members
from pulse.core.types import LEAST_PREFIX, SHORT_ID, NodeId, is_node_id
from pulse.errors import Conflict, NotFound, PulseError, Refused
from pulse.schemas.config import (
    ConfigChange,
    ConfigFile,
    ConfigPlan,
    ConfigWanted,
    FileAssertion,
    FileRecord,
    FileRoute,
    FileRule,
    FileSettings,
    FileTemplate,
    Version,
)
from pulse.schemas.policy import ALLOW, DENY, PairChange

_Said = TypeVar("_Said")


@dataclass(frozen=True, slots=True)
class ConfigFileService:
    """One node as a place to work on the whole config from; implements `pulse.api.governance.WholeFile`."""

    statements: Statements
    members: Members
    edit: Callable[[Edits], Awaitable[SignedConfig]]
    """Has edits made, here or by the scribe."""

    async def export(self) -> tuple[Version, ConfigFile]:
        """Number and content of the config in force, without revoked nodes. Raises Refused before one is."""
        config = self.statements.config_in_force()
        return config.number, _written(self._draft(config), self.statements.network.label)

    async def plan(self, wanted: ConfigWanted) -> ConfigPlan:
        """What applying the file would change. Raises what an edit of it would."""
        config = self.statements.config_in_force()
        before = self._draft(config)
        after = edited(before, self._edits(before, config, wanted), clock.wall())
        return self._told(before, after, config.version, applied=False)

    async def apply(self, wanted: ConfigWanted, base: Version | None) -> ConfigPlan:
        """Put the file in place of the config in force, all of it or nothing; `base` is the config that was planned on.

        Raises Conflict if another one is in force, and what an edit raises.
        """
        config = self.statements.config_in_force()
        if base is not None and base != config.number:
            raise Conflict(
                f"the network config is {config.version} by now, and this was planned on {spelled(base)}: "
                "nothing is changed.\nPlan again: pulse config plan"
            )
        before = self._draft(config)
        edits = self._edits(before, config, wanted)
        after = edited(before, edits, clock.wall())
        if after == before:
            return self._told(before, after, config.version, applied=False)
        signed = await self.edit(edits)
        return self._told(before, after, signed.version, applied=True)

    # Details

    def _draft(self, config: SignedConfig) -> Draft:
        return Draft.of(config, self.members, self.statements.revoked())

    def _edits(self, before: Draft, config: SignedConfig, wanted: ConfigWanted) -> Edits:
        typed = wanted.through
        connection = through(self.members, typed.client, typed.server, typed.port) if typed else None
        _check_settings(wanted.file.settings, before, self.statements.network.label)
        return Edits(_read(wanted.file, before, ahead=wanted.ahead), config.number, wanted.force, connection)

    def _told(self, before: Draft, after: Draft, version: str, *, applied: bool) -> ConfigPlan:
        found = difference(before, after, clock.wall())
        return ConfigPlan(
            version=version,
            applied=applied,
            changes=[
                ConfigChange(each.section, each.change.value, each.line, each.was) for each in compared(before, after)
            ],
            opens=bool(before.config.acl) and not after.config.acl,
            gained=[self._pair(each, found.named) for each in found.gained],
            lost=[self._pair(each, found.named) for each in found.lost],
            gained_pairs=found.gained_pairs,
            lost_pairs=found.lost_pairs,
            whole=found.whole,
        )

    def _pair(self, change: Change, named: Sequence[int]) -> PairChange:
        label = self.members.label_of
        return PairChange(label(change.source.node), label(change.destination.node), flows_text(change.flows, named))


# Writing


def _written(draft: Draft, network: str) -> ConfigFile:
    """The config as a file has it: sections and what is in them in an order that stays."""
    config, names, tags = draft.config, draft.naming.names, draft.naming.tags
    worn = {names.get(node, node): list(tags[node]) for node in tags}
    return ConfigFile(
        settings=FileSettings(config.settings.mesh_cidr, network),
        names=dict(sorted(names.items(), key=lambda each: each[1])),
        tags=dict(sorted(worn.items())),
        groups={name: list(members) for name, members in sorted(config.groups.items())},
        acl=[_rule_text(each) for each in config.acl],
        tests=[_test_text(each) for each in config.tests],
        templates={name: _template_text(each) for name, each in sorted(config.templates.items())},
        zones=[FileRecord(each.name, each.kind, each.value, each.ttl) for each in config.zones],
        routes=[_route_text(each, names) for each in config.routes],
        auto_approve=dict(sorted(config.auto_approve.items())),
    )


def _rule_text(rule: Rule) -> FileRule:
    return FileRule(
        id=rule.id,
        action=ALLOW if rule.allow else DENY,
        source=list(rule.sources),
        destination=list(rule.destinations),
        proto=[*protocol_words(rule.protocols)],
        ports=[low if low == high else f"{low}-{high}" for low, high in rule.ports],
        expires=None if rule.expires is None else float(int(rule.expires)),
        window=str(rule.window or ""),
        redundant=rule.redundant,
        note=rule.note,
    )


def _test_text(test: Assertion) -> FileAssertion:
    return FileAssertion(
        id=test.id,
        source=test.source,
        destination=test.destination,
        expect=ALLOW if test.allow else DENY,
        # One word of those there are stands for two protocols, of which a test has the first.
        proto="icmp" if test.protocol == 1 else protocol_words([test.protocol])[0],
        port=test.port,
    )


def _template_text(template: Template) -> FileTemplate:
    ttl = None if template.ttl is None else duration_text(template.ttl)
    return FileTemplate(list(template.tags), template.name, ttl, template.uses)


def _route_text(route: Route, names: Mapping[NodeId, str]) -> FileRoute:
    node = node_from_bytes(route.node)
    return FileRoute(names.get(node, node), route.cidr, route.mapped, route.approved)


# Reading


def _check_settings(settings: FileSettings, before: Draft, network: str) -> None:
    """Raise Refused for a file of another network, also if it has the same range."""
    cidr = before.config.settings.mesh_cidr
    if settings.mesh_cidr != cidr:
        raise Refused(f"settings: mesh_cidr is {cidr}, and the range of a mesh never changes. Write that")
    if settings.network != network:
        theirs = f"is of the network {printable(settings.network)}" if settings.network else "says no network"
        raise Refused(f'settings: this file {theirs}.\nIf it is meant for this one, write: network = "{network}"')


def _read(file: ConfigFile, before: Draft, *, ahead: bool) -> list[Edit]:
    """The edits that make the config in force what the file says. Raises ConfigError, Refused, NotFound, Conflict."""
    nodes = _Nodes.of(file, before)
    tags = nodes.keyed("tags", file.tags.items())
    return [
        NamingReplaced(
            {node_bytes(node): name for node, name in nodes.names.items()},
            {node_bytes(node): list(worn) for node, worn in tags.items()},
        ),
        RulingReplaced(
            [_rule(number, each) for number, each in enumerate(file.acl, 1)],
            [_test(number, each) for number, each in enumerate(file.tests, 1)],
            {name: list(members) for name, members in file.groups.items()},
            ahead,
        ),
        TemplatesReplaced({name: _template(name, each) for name, each in file.templates.items()}),
        ZonesReplaced([ZoneRecord(each.name, each.type, each.value, each.ttl) for each in file.zones]),
        RoutesReplaced(
            [
                Route(node_bytes(nodes.found(each.node, f"route {number}")), each.cidr, each.mapped, each.approved)
                for number, each in enumerate(file.routes, 1)
            ],
            dict(file.auto_approve),
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Which nodes the words of a file stand for: names go by the file itself."""

    members: Members
    names: Mapping[NodeId, str]
    """As the file gives them."""
    holders: Mapping[str, NodeId]

    @classmethod
    def of(cls, file: ConfigFile, before: Draft) -> "_Nodes":
        unnamed = cls(before.members, {}, {})
        names = unnamed.keyed("names", file.names.items())
        return cls(before.members, names, {name: node for node, name in names.items()})

    def found(self, word: str, where: str) -> NodeId:
        """The node that a word stands for. Raises NotFound or Conflict."""
        if is_node_id(word):
            return NodeId(word)
        if word in self.holders:
            return self.holders[word]
        try:
            node = self.members.resolve(word).node_id
        except PulseError as error:
            raise type(error)(f"{where}: {error}") from error
        called = self.names.get(node)
        if called is not None and not (len(word) >= LEAST_PREFIX and node.startswith(word.lower())):
            raise NotFound(f"{where}: {printable(word)} is called {called} in this file. Write that")
        return node

    def keyed(self, where: str, items: Iterable[tuple[str, _Said]]) -> dict[NodeId, _Said]:
        """What is said of nodes, by node; raises Conflict if something is said of one twice."""
        found: dict[NodeId, _Said] = {}
        for word, value in items:
            node = self.found(word, where)
            if node in found:
                raise Conflict(f"{where}: {node[:SHORT_ID]} is there twice, once as {printable(word)}")
            found[node] = value
        return found


def _rule(number: int, text: FileRule) -> Rule:
    try:
        read = typed_rule(
            _side(text.source),
            _side(text.destination),
            allow=text.action == ALLOW,
            protocols=map(str, text.proto),
            ports=map(str, text.ports),
            expires=text.expires,
            window=text.window,
            redundant=text.redundant,
            note=text.note,
        )
    except PulseError as error:
        raise type(error)(f"rule {number}: {error}") from error
    return Rule(
        text.id,
        read.sources,
        read.destinations,
        read.allow,
        read.protocols,
        read.ports,
        read.redundant,
        read.expires,
        read.window,
        read.note,
    )


def _test(number: int, text: FileAssertion) -> Assertion:
    try:
        read = typed_assertion(
            text.source, text.destination, allow=text.expect == ALLOW, proto=text.proto, port=text.port
        )
    except PulseError as error:
        raise type(error)(f"test {number}: {error}") from error
    return Assertion(text.id, read.source, read.destination, read.allow, read.protocol, read.port)


def _template(name: str, text: FileTemplate) -> Template:
    try:
        return Template(list(text.tags), text.name, whole_seconds(text.ttl), text.max_uses)
    except PulseError as error:
        raise type(error)(f"template {printable(name)}: {error}") from error


def _side(words: str | list[str]) -> list[str]:
    return [words] if isinstance(words, str) else words
