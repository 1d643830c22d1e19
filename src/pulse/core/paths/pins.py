"""Pins: by which neighbour a person wants a node to be reached, whatever the scores say.

Invariant: a pin lasts until it is taken back, and never leads a frame in a circle or into a way that fails: where it
cannot be followed the best path serves, and that is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from pulse.core.effects import INFO, WARNING, Log
from pulse.core.types import SHORT_ID, NodeId

MOST_PINS: Final = 256
"""Pins of one node."""


class Standing(StrEnum):
    """Whether a pin is followed, or why not."""

    FOLLOWED = "followed"
    NOT_LINKED = "not linked"
    """There is no link with the neighbour it names."""
    NO_WAY = "no way"
    """That neighbour neither has a link of its own to the node nor is closer to it than we are."""
    FAILED = "failed"
    """That way failed lately, and another did not."""


class Pin(NamedTuple):
    """One pin as it stands."""

    via: NodeId
    """The neighbour to begin with; the node itself for our own link to it."""
    standing: Standing


@dataclass(slots=True)
class Pins:
    """The pins of this node."""

    _vias: dict[NodeId, NodeId] = field(default_factory=dict)
    _standings: dict[NodeId, Standing] = field(default_factory=dict)

    def changed(self, vias: Mapping[NodeId, NodeId]) -> None:
        """These are all there are from now on: node to neighbour."""
        self._standings = {node: at for node, at in self._standings.items() if vias.get(node) == self._vias[node]}
        self._vias = dict(vias)

    def stands(self, node: NodeId, standing: Standing) -> list[Log]:
        """Routing looked at a pin; what to say of it, if it stands otherwise than before."""
        if self._standings.get(node) is standing:
            return []
        self._standings[node] = standing
        fields: dict[str, object] = {"node": node[:SHORT_ID], "via": self._vias[node][:SHORT_ID]}
        if standing is Standing.FOLLOWED:
            return [Log("pin followed", INFO, fields)]
        return [Log("pin not followed", WARNING, {**fields, "reason": standing.value})]

    # Queries

    def of(self, node: NodeId) -> Pin | None:
        """The pin of a node; one that was not looked at yet stands as if there were no link."""
        via = self._vias.get(node)
        return None if via is None else Pin(via, self._standings.get(node, Standing.NOT_LINKED))

    def all(self) -> Mapping[NodeId, NodeId]:
        """Every pinned node and the neighbour it is pinned to."""
        return self._vias

    def neighbours(self) -> frozenset[NodeId]:
        """Those that somebody is pinned to."""
        return frozenset(self._vias.values())


def problem(pin: Pin, node: str, via: str, *, reached: bool) -> str:
    """Why a pin is not followed, in words, and what serves instead; nothing if it is. Nodes by their names."""
    direct = node == via
    match pin.standing:
        case Standing.FOLLOWED:
            return ""
        case Standing.NOT_LINKED:
            why = f"not linked with {via} at present"
        case Standing.NO_WAY:
            why = f"{via} has no way to {node} that is sure not to lead back here"
        case Standing.FAILED:
            why = f"{'its link' if direct else f'the way over {via}'} failed lately"
    return f"{why}, {'so the best path is used' if reached else 'and no other path leads there'}"
