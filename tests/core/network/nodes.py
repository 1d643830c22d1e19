"""Nodes and rules in few words, and how a naive reader of the rules judges them."""

from collections.abc import Sequence

from hypothesis import strategies as st

from pulse.core.network.patterns import Subject
from pulse.core.network.policy import Rule
from tests.authority import node

WEB = Subject(node("web"), "10.100.0.1", "web", ("front", "prod"))
DB = Subject(node("db"), "10.100.0.2", "db", ("prod",))
CAM = Subject(node("cam"), "10.100.0.3", None, ())
EVERYBODY = (WEB, DB, CAM)
GROUPS = {"ops": ["web", CAM.node]}

PATTERNS = ["*", "web", "db", "nobody", "tag:prod", "tag:front", "tag:none", "group:ops", "group:gone", CAM.node]
PROTOCOLS = [1, 6, 17, 47]
PORTS = range(6)

patterns = st.lists(st.sampled_from(PATTERNS), max_size=3)
spans = st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(lambda pair: (min(pair), max(pair)))
rules = st.lists(
    st.builds(
        Rule,
        id=st.just("r"),
        sources=patterns,
        destinations=patterns,
        allow=st.booleans(),
        protocols=st.lists(st.sampled_from(PROTOCOLS), max_size=2, unique=True),
        ports=st.lists(spans, max_size=2),
    ),
    max_size=6,
)
subjects = st.sampled_from(EVERYBODY)
protocols = st.sampled_from([*PROTOCOLS, 132, 255])
ports = st.sampled_from([*PORTS, 65535])


def rule(source: str, destination: str, *, allow: bool = True, **more: object) -> Rule:
    """A rule for one pattern on each side."""
    values: dict[str, object] = {"id": "r1", "sources": [source], "destinations": [destination], "allow": allow}
    return Rule(**(values | more))  # type: ignore[arg-type]


def naive_fits(subject: Subject, patterns: Sequence[str], *, allow: bool) -> bool:
    """By one look at each pattern."""
    if "group:gone" in patterns and not allow:
        return True
    named = {subject.node, subject.name, "*", *(f"tag:{tag}" for tag in subject.tags)}
    return any(each in named or (each == "group:ops" and subject.node in (WEB.node, CAM.node)) for each in patterns)


def naive(rules: Sequence[Rule], source: Subject, destination: Subject, protocol: int, port: int) -> int | None:
    """The place of the first rule that matches."""
    for place, each in enumerate(rules):
        fits = naive_fits(source, each.sources, allow=each.allow) and naive_fits(
            destination, each.destinations, allow=each.allow
        )
        spoken = not each.protocols or protocol in each.protocols
        ported = protocol in (6, 17, 33, 132, 136) and any(low <= port <= high for low, high in each.ports)
        if fits and spoken and (ported or not each.ports):
            return place
    return None
