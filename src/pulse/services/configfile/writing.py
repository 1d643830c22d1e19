"""The network config as a file has it: the same config is always the same file."""

from collections.abc import Mapping

from pulse.core.durations import duration_text
from pulse.core.network.assertions import Assertion
from pulse.core.network.draft import Draft
from pulse.core.network.policy import Rule
from pulse.core.network.routes import Route
from pulse.core.network.ruletext import protocol_words
from pulse.core.network.templates import Template
from pulse.core.trust.identity import node_from_bytes
from pulse.core.types import NodeId
from pulse.schemas.config import (
    ConfigFile,
    FileAssertion,
    FileRecord,
    FileRoute,
    FileRule,
    FileSettings,
    FileTemplate,
)
from pulse.schemas.policy import ALLOW, DENY


def written(draft: Draft, network: str) -> ConfigFile:
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
