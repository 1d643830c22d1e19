"""Nodes and rules in few words, and how a naive reader of the rules judges them."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from pulse.core.network.patterns import Subject
from pulse.core.network.policy import Rule
from tests.authority import node

WEB = Subject(node("web"), "10.100.0.1", "web", ("front", "prod"), "fd00::a:1")
DB = Subject(node("db"), "10.100.0.2", "db", ("prod",), "fd00::a:2")
CAM = Subject(node("cam"), "10.100.0.3", None, (), "fd00::b:3")
EVERYBODY = (WEB, DB, CAM)
GROUPS = {"ops": ["web", CAM.node]}

RANGES = ["10.100.0.2/31", "10.100.0.0/16", "10.100.0.3/32", "192.168.7.0/24", "fd00::a:0/112", "fd00::b:3/128"]
PATTERNS = ["*", "web", "db", "nobody", "tag:prod", "tag:front", "tag:none", "group:ops", "group:gone", CAM.node]
PATTERNS += [f"cidr:{each}" for each in RANGES]
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
    ranges = [ip_network(each.removeprefix("cidr:")) for each in patterns if each.startswith("cidr:")]
    if any(ip_address(address) in each for each in ranges for address in (subject.handle, subject.v6)):
        return True
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
