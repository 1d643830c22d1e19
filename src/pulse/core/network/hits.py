"""Flows by rule, summed over what the nodes of a mesh say that they counted (`tally`)."""

from collections.abc import Collection, Mapping
from typing import Annotated, Final

import msgspec

from pulse.core.messages import RPC_LIMIT, U53, MethodName, Time, Wire, unpack
from pulse.core.network.tally import COUNTERS_LIMIT, MOST, Kind, Tally
from pulse.core.trust.identity import node_bytes
from pulse.core.types import Digest, NodeId, ShortText

HITS: Final = Kind("hits", MethodName.HITS, MethodName.HITS_SUMMED, fastest=1_000_000, at_first=10**12)
"""More flows a second than any data plane opens."""

UNMATCHED: Final = ""
"""Stands where a rule's id does, for flows that no rule matched."""

MOST_TOLD: Final = 8
"""Nodes told of one rule, those with most flows."""


class Share(Wire, frozen=True):
    """What one node counted for a rule."""

    node: Digest
    flows: U53


class Sum(Wire, frozen=True):
    """What all nodes together counted for a rule."""

    rule: ShortText
    flows: U53
    last: Time | None
    """When it was last heard to be more; None if never."""
    nodes: Annotated[list[Share], msgspec.Meta(max_length=MOST_TOLD)]
    """Those with most flows, the first one first."""
    count: U53
    """All nodes that counted any."""


class Sums(Wire, frozen=True):
    """The answer to `hits.get`: every rule that decided on anything, and `UNMATCHED`."""

    sums: Annotated[list[Sum], msgspec.Meta(max_length=COUNTERS_LIMIT)]


_sums = msgspec.msgpack.Decoder(Sums)


def read_sums(data: bytes) -> Sums:
    """Sums in their bytes; raises ProtocolError."""
    return unpack(_sums, data, "sums of hits", RPC_LIMIT)


def sums(tally: Tally) -> Sums:
    """All there is of each rule, the one with most flows first."""
    shares: dict[str, list[tuple[int, NodeId]]] = {}
    for node, life in tally.lives.items():
        for rule, flows in life.totals().items():
            shares.setdefault(rule, []).append((flows, node))
    found = [_sum(rule, each, tally.last.get(rule)) for rule, each in shares.items()]
    return Sums(sorted(found, key=lambda each: (-each.flows, each.rule)))


def in_force(counted: Mapping[str, int], unmatched: int, rules: Collection[str]) -> dict[str, int]:
    """What a node has to report: flows of rules that are in force, and of none; nothing of what is still 0."""
    found = {rule: flows for rule, flows in counted.items() if flows and rule in rules}
    return found | ({UNMATCHED: unmatched} if unmatched else {})


def _sum(rule: str, shares: list[tuple[int, NodeId]], last: float | None) -> Sum:
    most = sorted(shares, key=lambda each: (-each[0], each[1]))[:MOST_TOLD]
    flows = min(MOST, sum(each for each, _ in shares))
    return Sum(rule, flows, last, [Share(node_bytes(node), each) for each, node in most], len(shares))
