"""Edits of what nodes are called: names are first come, tags are said whole.

Invariant: the first edit of a node's tags takes over those of its certificate.
"""

from collections.abc import Mapping, Sequence

from pulse.core.likeness import meant
from pulse.core.messages import Wire, shortened
from pulse.core.network.draft import Draft
from pulse.core.network.netconfig import NODES_LIMIT, Names, Tags
from pulse.core.trust.certificates import TAGS_LIMIT
from pulse.core.trust.identity import check_name, check_tag, node_from_bytes
from pulse.core.trust.members import Naming
from pulse.core.types import SHORT_ID, Digest, NodeId, ShortText
from pulse.errors import Conflict, NotFound, Refused


class NodeNamed(Wire, frozen=True, tag=1):
    """Call a node by a name."""

    node: Digest
    name: ShortText


class NodeTagged(Wire, frozen=True, tag=2):
    """Give a node a tag."""

    node: Digest
    tag: ShortText


class NodeUntagged(Wire, frozen=True, tag=3):
    """Take a tag from a node."""

    node: Digest
    tag: ShortText


class NamingReplaced(Wire, frozen=True, tag=4):
    """Call all nodes so, and none otherwise."""

    names: Names
    tags: Tags


NamingEdit = NodeNamed | NodeTagged | NodeUntagged | NamingReplaced


def renamed(draft: Draft, edit: NamingEdit) -> Draft:
    """The draft after `edit`. Raises Refused, NotFound, or Conflict if another node has the name."""
    match edit:
        case NodeNamed(node, name):
            return _named(draft, node_from_bytes(node), name)
        case NodeTagged(node, tag):
            return _tagged(draft, node_from_bytes(node), tag)
        case NodeUntagged(node, tag):
            return _untagged(draft, node_from_bytes(node), tag)
        case NamingReplaced(names, tags):
            return _replaced(draft, names, tags)


def _named(draft: Draft, node: NodeId, name: str) -> Draft:
    check_name(name)
    naming = draft.naming
    if naming.names.get(node) == name:
        return draft
    _check_free(draft, node, name)
    names = {**naming.names, node: name}
    if len(names) > NODES_LIMIT:
        raise Refused(f"the network config names {NODES_LIMIT} nodes already, and holds no more")
    return draft.renamed(Naming(names, naming.tags))


def _tagged(draft: Draft, node: NodeId, tag: str) -> Draft:
    check_tag(tag)
    naming, worn = draft.naming, _worn(draft, node)
    if tag in worn:
        return draft
    if len(worn) >= TAGS_LIMIT:
        raise Refused(f"{draft.members.label_of(node)} has {TAGS_LIMIT} tags already, and can have no more")
    tags = {**naming.tags, node: (*worn, tag)}
    if len(tags) > NODES_LIMIT:
        raise Refused(f"the network config tags {NODES_LIMIT} nodes already, and holds no more")
    return draft.renamed(Naming(naming.names, tags))


def _untagged(draft: Draft, node: NodeId, tag: str) -> Draft:
    naming, worn = draft.naming, _worn(draft, node)
    if tag not in worn:
        has = f"it has: {' '.join(worn)}" if worn else "it has none"
        raise NotFound(f'{draft.members.label_of(node)} has no tag "{shortened(tag)}" ({has}).{meant(tag, worn)}')
    left = tuple(each for each in worn if each != tag)
    return draft.renamed(Naming(naming.names, {**naming.tags, node: left}))


def _replaced(draft: Draft, names: Mapping[bytes, str], tags: Mapping[bytes, Sequence[str]]) -> Draft:
    wanted = Naming(
        {node_from_bytes(node): name for node, name in names.items()},
        {node_from_bytes(node): tuple(worn) for node, worn in tags.items()},
    )
    for each in {*wanted.names, *wanted.tags} - {*draft.naming.names, *draft.naming.tags}:
        if draft.members.get(each) is None:
            raise NotFound(f"there is no node {each[:SHORT_ID]}, to be named or tagged. See the nodes: pulse status")
    _check_names(draft, wanted.names)
    for each, worn in wanted.tags.items():
        _check_tags(each, worn)
    return draft.renamed(wanted)


def _check_names(draft: Draft, names: Mapping[NodeId, str]) -> None:
    """Each can be a name, and is that of one node only: of those named here, and of those called by certificates."""
    others = [each for each in draft.members.all() if each.node_id not in names]
    holders = {called: each.node_id for each in others for called in (each.name, each.host) if called}
    for node, name in names.items():
        check_name(name)
        if name in holders and (draft.naming.names.get(node) != name or holders[name] in names):
            # What is called so already stays, whatever a newcomer asks to be called.
            raise Conflict(f"{name} would be the name of {holders[name][:SHORT_ID]} and of {node[:SHORT_ID]}")
        holders[name] = node


def _check_tags(node: NodeId, worn: Sequence[str]) -> None:
    for tag in worn:
        check_tag(tag)
    if len(set(worn)) < len(worn):
        raise Refused(f"{node[:SHORT_ID]} would have one tag twice")


def _worn(draft: Draft, node: NodeId) -> tuple[str, ...]:
    """Tags of a node: those its certificate brought count until the config says any."""
    certificate = draft.members.get(node)
    return draft.naming.tags.get(node, certificate.tags if certificate else ())


def _check_free(draft: Draft, node: NodeId, name: str) -> None:
    holder = draft.naming.holder(name)
    if holder is None and (bearer := draft.members.bearer(name)) is not None:
        # Who bore it by its certificate and was given another in this very draft bears it no more.
        holder = None if bearer.node_id in draft.naming.names else bearer.node_id
    if holder not in (None, node):
        raise Conflict(
            f"{name} is the name of {holder[:SHORT_ID]} already.\n"
            f"Take another, or rename that one first: pulse name {holder[:SHORT_ID]} <other name>"
        )
