"""Two network configs, the one beside the other: what was added, removed, changed or moved, section by section.

Invariant: two configs between which nothing is told are the same.
"""

from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final, NamedTuple

from pulse.core.messages import printable
from pulse.core.network.assertions import describe_assertion
from pulse.core.network.draft import Draft
from pulse.core.network.routes import describe_route
from pulse.core.network.ruletext import describe, shown
from pulse.core.network.templates import describe_template
from pulse.core.network.zones import describe_record
from pulse.core.trust.identity import node_from_bytes
from pulse.core.types import SHORT_ID, NodeId


class Change(StrEnum):
    """What became of one item."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"


class ItemChange(NamedTuple):
    """One item that is not as it was."""

    section: str
    change: Change
    line: str
    """The item on one line, as it is then, or was last."""
    was: str = ""
    """As it was before, if it changed."""


class _Item(NamedTuple):
    held: object
    """All of it: items are the same if this is."""
    line: str


_Items = Mapping[object, _Item]
"""Items of a section by what makes each the one it is, in their order."""


def compared(before: Draft, after: Draft) -> list[ItemChange]:
    """How `after` is other than `before`; both without revoked nodes. The lines can be shown."""
    found: list[ItemChange] = []
    for section, items in _SECTIONS.items():
        old, new = items(before), items(after)
        found += _differences(section, old, new)
        if section in _ORDERED:
            found += _moves(section, old, new)
    return [each._replace(line=_shown(each.line), was=_shown(each.was)) for each in found]


def _differences(section: str, old: _Items, new: _Items) -> list[ItemChange]:
    removed = [ItemChange(section, Change.REMOVED, item.line) for key, item in old.items() if key not in new]
    others = []
    for key, item in new.items():
        known = old.get(key)
        if known is None:
            others.append(ItemChange(section, Change.ADDED, item.line))
        elif known.held != item.held:
            others.append(ItemChange(section, Change.CHANGED, item.line, known.line))
    return [*removed, *others]


def _moves(section: str, old: _Items, new: _Items) -> list[ItemChange]:
    """The fewest items that make up another order of those that stay."""
    was, now = [key for key in old if key in new], [key for key in new if key in old]
    blocks = SequenceMatcher(None, was, now, autojunk=False).get_matching_blocks()
    still = {key for block in blocks for key in now[block.b : block.b + block.size]}
    places = {key: place for place, key in enumerate(new, 1)}
    return [
        ItemChange(section, Change.MOVED, f"{new[key].line} (now number {places[key]})")
        for key in now
        if key not in still
    ]


def _settings(draft: Draft) -> _Items:
    cidr = draft.config.settings.mesh_cidr
    return {"mesh_cidr": _Item(cidr, f"mesh_cidr {cidr}")}


def _names(draft: Draft) -> _Items:
    names = draft.naming.names
    return {node: _Item(names[node], f"{node[:SHORT_ID]} is {names[node]}") for node in sorted(names)}


def _tags(draft: Draft) -> _Items:
    tags = draft.naming.tags
    return {
        node: _Item(tags[node], f"{_label(draft, node)}: {' '.join(tags[node]) or 'none'}") for node in sorted(tags)
    }


def _groups(draft: Draft) -> _Items:
    groups = sorted(draft.config.groups.items())
    return {name: _Item(members, f"{name}: {' '.join(map(shown, members))}") for name, members in groups}


def _acl(draft: Draft) -> _Items:
    return {
        each.id: _Item(each, f"{each.id}: {describe(each)}{f' ({each.note})' if each.note else ''}")
        for each in draft.config.acl
    }


def _tests(draft: Draft) -> _Items:
    return {each.id: _Item(each, f"{each.id}: {describe_assertion(each)}") for each in draft.config.tests}


def _templates(draft: Draft) -> _Items:
    templates = sorted(draft.config.templates.items())
    return {name: _Item(each, f"{name}: {describe_template(each)}") for name, each in templates}


def _zones(draft: Draft) -> _Items:
    return {
        (each.name, each.kind, each.value): _Item(each, f"{describe_record(each)}, ttl {each.ttl} s")
        for each in draft.config.zones
    }


def _routes(draft: Draft) -> _Items:
    return {
        (each.node, each.announced): _Item(each, f"{_label(draft, node_from_bytes(each.node))}: {describe_route(each)}")
        for each in draft.config.routes
    }


def _auto_approve(draft: Draft) -> _Items:
    approved = sorted(draft.config.auto_approve.items())
    return {cidr: _Item(tag, f"{cidr}: tag:{tag}") for cidr, tag in approved}


def _shown(line: str) -> str:
    return printable(line).replace("\n", " ")


def _label(draft: Draft, node: NodeId) -> str:
    return draft.naming.names.get(node) or draft.members.label_of(node)


_SECTIONS: Final[Mapping[str, Callable[[Draft], _Items]]] = {
    "settings": _settings,
    "names": _names,
    "tags": _tags,
    "groups": _groups,
    "acl": _acl,
    "tests": _tests,
    "templates": _templates,
    "zones": _zones,
    "routes": _routes,
    "auto_approve": _auto_approve,
}

_ORDERED: Final = frozenset({"acl", "tests"})
"""Lists whose order people choose; that of rules decides."""
