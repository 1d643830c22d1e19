"""What a file says of the network config, as the edits that make it so; what is wrong is told with its place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pulse.core.messages import printable
from pulse.core.network.assertions import Assertion
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edit
from pulse.core.network.naming import NamingReplaced
from pulse.core.network.policy import Rule
from pulse.core.network.replacing import RulingReplaced
from pulse.core.network.routes import Route
from pulse.core.network.sections import RoutesReplaced, TemplatesReplaced, ZonesReplaced
from pulse.core.network.templates import Template, whole_seconds
from pulse.core.network.typed import typed_assertion, typed_rule
from pulse.core.network.zones import ZoneRecord
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.members import Members
from pulse.core.types import LEAST_PREFIX, SHORT_ID, NodeId, is_node_id
from pulse.errors import Conflict, NotFound, PulseError, Refused
from pulse.schemas.config import (
    ConfigFile,
    FileAssertion,
    FileRule,
    FileSettings,
    FileTemplate,
)
from pulse.schemas.policy import ALLOW

_Said = TypeVar("_Said")


def check_settings(settings: FileSettings, before: Draft, network: str) -> None:
    """Raise Refused for a file of another network, also if it has the same range."""
    cidr = before.config.settings.mesh_cidr
    if settings.mesh_cidr != cidr:
        raise Refused(f"settings: mesh_cidr is {cidr}, and the range of a mesh never changes. Write that")
    if settings.network != network:
        theirs = f"is of the network {printable(settings.network)}" if settings.network else "says no network"
        raise Refused(f'settings: this file {theirs}.\nIf it is meant for this one, write: network = "{network}"')


def edits_for(file: ConfigFile, before: Draft, *, ahead: bool) -> list[Edit]:
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
