"""The rules, and the flows that each decided on."""

from typing import Final

from pulse.calls.acls import AclCalls
from pulse.client import Client
from pulse.errors import LinkError, Refused
from pulse.schemas.policy import Hits, HitsQuery
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Line, line, number, word
from pulse.tui.table import SLOW, Memory, Table, figure, text
from pulse.wording import DASH, moment


def policy(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """In the order in which they are asked."""
    calls = AclCalls(client)
    flows = {each.id: each.flows for each in _hits(calls).rules}
    return [
        line(
            rule.id,
            (str(rule.index), number(rule.index)),
            (rule.id, word(rule.id)),
            (str(flows[rule.id]) if rule.id in flows else DASH, number(flows.get(rule.id))),
            (rule.line, word(rule.line)),
            (rule.state, word(rule.state)),
            (rule.window or DASH, word(rule.window)),
            (moment(rule.expires) if rule.expires else DASH, number(rule.expires)),
            (rule.note or DASH, word(rule.note)),
        )
        for rule in calls.policy().rules
    ]


def _hits(calls: AclCalls) -> Hits:
    """Of all nodes; of the one that is asked, where the scribe does not tell it."""
    try:
        return calls.hits(HitsQuery())
    except (Refused, LinkError):
        return calls.hits(HitsQuery(here=True))


POLICY: Final = Table(
    "policy",
    (
        figure("#"), text("ID"), figure("FLOWS"), text("RULE"), text("STATE"), text("WINDOW", 110), text("UNTIL", 100),
        text("NOTE", 120),
    ),
    policy,
    "no rules, so all is allowed. Press a for the first one",
    SLOW,
)  # fmt: skip
