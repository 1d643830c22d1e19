"""RPCs of a member to the CA and scribe: without the operator role, in another's name, or made of nonsense.

Then the member is an operator gone bad: it may edit, and what it writes still has to be what a network config can hold.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse.calls.ca import CaCalls
from pulse.calls.stats import StatsCalls
from pulse.calls.tokens import TokenCalls
from pulse.client import connect
from pulse.core.messages import Failure, MethodName, Result, Wire, pack
from pulse.core.network.edits import Edits
from pulse.core.network.naming import NodeNamed, NodeTagged
from pulse.core.network.policy import Rule
from pulse.core.network.replacing import RulingReplaced
from pulse.core.network.routes import Route
from pulse.core.network.ruling import AT_THE_END, AssertionAdded, GroupSet, RuleAdded, RuleMoved
from pulse.core.network.sections import RecordAdded, RecordsRemoved, RoutesReplaced, TemplateSet, ZonesReplaced
from pulse.core.network.tally import Kept, Report
from pulse.core.network.templates import Template
from pulse.core.network.zones import ZoneRecord
from pulse.core.stats import ACTIVE, FASTEST, RATE_IN, RATE_OUT, TRAFFIC, Counts, read_rows
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.join import Denied, build_csr, build_request, parse_answer, refusal_text
from pulse.core.trust.renew import build_renewal
from pulse.core.trust.tokens import Token, parse_token
from pulse.core.types import NodeId
from pulse.errors import ProtocolError, Refused
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from tests.e2e.exchange import noise
from tests.e2e.mesh import PATIENCE, Node
from tests.namespace import require_root
from tests.security.link import Link
from tests.security.rogue import Rogue
from tests.security.scene import TOGETHER, bad_member, certificate, state, told_since
from tests.security.session import Session

ESCAPE = "\x1b]0;pwned\x07\x1b[2J\u202e"
DEEP = 5_000
encode = msgspec.msgpack.encode


@dataclass(frozen=True, slots=True)
class Asked:
    """A CA that is scribe, and the rogue's session with it."""

    ca: Node
    node: NodeId
    """The CA's own."""
    rogue: Rogue
    link: Link
    session: Session


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    require_root()
    with Lab(TOGETHER) as lab:
        ca = Node(lab["a"])
        ca.start("--ca", "--scribe", "--network", "test", "--log-level", "debug")
        with Rogue(lab["r"], bad_member(ca)) as rogue:
            link = rogue.dials(ca)
            session = Session([link])
            session.waits_up()
            yield Asked(ca, NodeId(ca.status().node.id), rogue, link, session)
        assert " ERROR " not in ca.log


@pytest.fixture
def unchanged(asked: Asked) -> Iterator[Asked]:
    """Whatever is asked changes nothing at the CA: identity, peers, signed objects, tokens, journal of the ledger."""
    before = kept(asked)
    yield asked
    assert kept(asked) == before
    assert asked.ca.status().well


def kept(asked: Asked) -> list[object]:
    """What others could want to change."""
    with connect(asked.ca.host.data) as client:
        return [state(asked.ca), CaCalls(client).ca_log(), TokenCalls(client).list_tokens()]


def refused(asked: Asked, method: str, body: bytes) -> Failure:
    """What the CA says, which is no; its words move no terminal."""
    said = asked.session.asks(method, body)
    assert isinstance(said, Failure), said
    assert all(char == "\n" or char.isprintable() for char in said.text)
    return said


NAMED = "config.edit", "is no operator, so the scribe takes no edits of it"
REVOKED = "revoke", "is no operator here, so it revokes nobody"
TOKENS = "tokens", "is no operator, so the CA shows it no tokens"
PEERS = "stats.peers", "is no operator, and is told its own traffic alone"
MOST = 2**53 - 1


def privileged(asked: Asked) -> list[tuple[tuple[str, str], bytes]]:
    """What scribe and operators alone may ask, well made."""
    node = node_bytes(asked.node)
    edits: list[Wire] = [NodeNamed(node, "mine"), NodeTagged(node, "mine"), RuleAdded(["*"], ["*"], allow=True)]
    wishes = [("list", b"null"), ("master", b"null"), ("create", b"{}"), ("invite", b"{}"), ("revoke", b'"a"')]
    return [
        *((NAMED, encode([[each], None, True])) for each in edits),
        (REVOKED, encode([node])),
        (REVOKED, encode([node_bytes(asked.link.me_id)])),
        *((TOKENS, encode([what, content])) for what, content in wishes),
        (PEERS, b""),
    ]


def test_without_the_operator_role_nothing_is_done_and_the_way_to_it_is_told(unchanged: Asked) -> None:
    told = len(unchanged.ca.log)
    for (method, words), body in privileged(unchanged):
        said = refused(unchanged, method, body)
        assert (said.error, words in said.text) == ("Refused", True), said
    told_since(unchanged.ca, told, "request refused", len(privileged(unchanged)))
    assert "pulse ca grant" in refused(unchanged, "config.edit", privileged(unchanged)[0][1]).text


def test_a_liar_counts_traffic_for_itself_alone_and_no_more_than_any_node_could(unchanged: Asked) -> None:
    """However many lives it claims to have had; and of others it is told nothing."""
    for life in range(20):
        lies = Counts(MOST, MOST, MOST, MOST, MOST).counters()
        report = Report(life.to_bytes(16), MOST, lies, dict.fromkeys((ACTIVE, RATE_IN, RATE_OUT), 2.0**53))
        assert unchanged.session.asks("stats.report", pack(report)) == Result(pack(Kept(0)))

    with connect(unchanged.ca.host.data) as client:
        rows = {row.id: row for row in StatsCalls(client).stats().rows}
    own = rows.pop(unchanged.link.me_id)
    assert TRAFFIC.at_first <= own.bytes_in < 2 * TRAFFIC.at_first
    assert own.rate_in == FASTEST
    assert all(row.bytes_in + row.bytes_out < TRAFFIC.at_first for row in rows.values())
    said = unchanged.session.asks("stats.get", b"")
    assert isinstance(said, Result)
    told = read_rows(said.body)
    assert ([row.node.hex() for row in told.rows], told.whole) == ([unchanged.link.me_id], False)


def test_who_asks_is_whose_session_it_is_whatever_the_body_says(unchanged: Asked) -> None:
    """The CA's own node is scribe, and may renew: neither is had by naming it."""
    true = certificate(unchanged.ca)
    assert "is the scribe of this network already" in refused(unchanged, "roles.claim", node_bytes(unchanged.node)).text

    told = len(unchanged.ca.log)
    lie = build_renewal(true, secrets.token_bytes(16), unchanged.rogue.shows.key)
    for method in ("renew", "join"):
        assert unchanged.session.asks(method, lie) == Result(b"")
    told_since(unchanged.ca, told, "renewal request forged", 2)


NONSENSE: dict[str, bytes] = {
    "nothing": b"",
    "a byte that is never used": b"\xc1",
    "noise": noise("request", 500),
    "a map": encode({"edits": []}),
    "arrays in arrays": b"\x91" * DEEP + b"\xc0",
    "an array that promises four thousand million": b"\xdd\xff\xff\xff\xff",
    "the largest number": encode([[2**64 - 1], [2**63, 2**63]]),
    "JSON in JSON": encode(["create", b'{"tags":' + b"[" * DEEP]),
    "text that is none": encode([b"\xff\xfe", b"\xff"]),
    "as much as there may be": bytes(1_000_000),
}
HARMLESS = {"ProtocolError", "Refused", "NotFound", "Conflict"}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_answered_by_every_method_and_breaks_none(unchanged: Asked, body: bytes) -> None:
    told = len(unchanged.ca.log)
    for method in (*MethodName, ESCAPE, "x" * 64, ""):
        said = unchanged.session.asks(method, body)
        assert isinstance(said, Result) or said.error in HARMLESS, (method, said)
    assert "request broke a method" not in unchanged.ca.log[told:]


def test_a_method_nobody_knows_is_not_found_and_its_name_moves_no_terminal(unchanged: Asked) -> None:
    said = refused(unchanged, ESCAPE, b"")

    assert (said.error, "no method" in said.text) == ("NotFound", True)


HOSTS = [ESCAPE, "a" * 64, "a" * 100_000, "c0ffee" * 10, "web\nroot", "-web", "web.example"]


@pytest.mark.parametrize("host", HOSTS, ids=["escapes", "long", "far too long", "id", "two lines", "hyphen", "dots"])
def test_a_machine_that_would_be_called_so_gets_no_certificate_and_costs_the_token_nothing(
    asked: Asked, host: str
) -> None:
    token = parse_token(asked.ca.token("--max-uses", "1"))
    request = build_request(token.keys, build_csr(Ed25519PrivateKey.generate()), secrets.token_bytes(16), host)

    said = asked.session.asks("join", request)

    assert isinstance(said, Result)
    with pytest.raises((Refused, ProtocolError)):
        raise_refusal(said.body, request, token)
    with connect(asked.ca.host.data) as client:
        assert TokenCalls(client).list_tokens()[-1].uses == 0


def raise_refusal(answer: bytes, request: bytes, token: Token) -> None:
    """What the answer says, for whoever joins: an empty one is none."""
    said = parse_answer(answer, request, token.keys)
    if isinstance(said, Denied):
        raise Refused(refusal_text(said))


# An operator gone bad


@pytest.fixture(scope="module")
def operator(asked: Asked) -> Asked:
    """The same, once the CA has made the rogue an operator: a good edit of its counts."""
    asked.ca.host.pulse("ca", "grant", asked.link.me_id, "operator")
    good = pack(Edits([NodeTagged(node_bytes(asked.node), "good")]))

    def taken() -> bool:
        return isinstance(asked.session.asks("config.edit", good), Result)

    wait_until(taken, "an operator's edit is taken", PATIENCE)
    return asked


NODE = bytes(32)
LONG = "a" * 64
MISSHAPEN: dict[str, Wire] = {
    "a name with escapes": NodeNamed(NODE, ESCAPE),
    "a name too long": NodeNamed(NODE, LONG),
    "a name far too long": NodeNamed(NODE, LONG * 1000),
    "a name that reads as an id": NodeNamed(NODE, "c0ffee" * 10),
    "no name": NodeNamed(NODE, ""),
    "a name with capitals": NodeNamed(NODE, "Web"),
    "a name of two lines": NodeNamed(NODE, "web\nroot"),
    "an id too long": NodeNamed(NODE + b"\0", "web"),
    "an id too short": NodeNamed(NODE[:31], "web"),
    "a tag with escapes": NodeTagged(NODE, ESCAPE),
    "a tag too long": NodeTagged(NODE, LONG),
    "no tag": NodeTagged(NODE, ""),
    "a word nobody knows": RuleAdded(["webb"], ["*"], allow=True),
    "a tag nobody bears": RuleAdded(["*"], ["tag:stagin"], allow=True),
    "a word with escapes": RuleAdded([ESCAPE], ["*"], allow=True),
    "a word too long": RuleAdded(["*"], ["tag:" + LONG], allow=True),
    "nobody": RuleAdded([], ["*"], allow=True),
    "a port out of range": RuleAdded(["*"], ["*"], allow=True, protocols=[6], ports=[(0, 65_536)]),
    "ports backwards": RuleAdded(["*"], ["*"], allow=True, protocols=[6], ports=[(80, 22)]),
    "a protocol out of range": RuleAdded(["*"], ["*"], allow=True, protocols=[256]),
    "an end at no time": RuleAdded(["*"], ["*"], allow=True, expires=float("nan")),
    "a place out of range": RuleAdded(["*"], ["*"], allow=True, place=2**63 - 1),
    "a note with escapes": RuleAdded(["*"], ["*"], allow=True, note=ESCAPE),
    "a rule that is not there": RuleMoved("nothing", AT_THE_END),
    "an assertion about a word nobody knows": AssertionAdded("webb", "*", allow=True, protocol=6, port=22),
    "a group of words nobody knows": GroupSet("web", ["webb"]),
    "a group with escapes": GroupSet(ESCAPE, ["*"]),
    "all rules, with a note that has escapes": RulingReplaced([Rule("", ["*"], ["*"], True, note=ESCAPE)], [], {}),
    "all rules, with a word nobody knows": RulingReplaced([Rule("", ["webb"], ["*"], True)], [], {}),
    "a template with escapes": TemplateSet(ESCAPE, Template()),
    "a template with a tag that is none": TemplateSet("web", Template(tags=[ESCAPE])),
    "a record with escapes": ZonesReplaced([ZoneRecord(f"{ESCAPE}.pulse", "A", "192.0.2.1")]),
    "a record of another zone": ZonesReplaced([ZoneRecord("web.example", "A", "192.0.2.1")]),
    "one record more with escapes": RecordAdded(ZoneRecord("web.pulse", "TXT", ESCAPE)),
    "one record more of another zone": RecordAdded(ZoneRecord("web.example", "A", "192.0.2.1")),
    "a name that is itself": RecordAdded(ZoneRecord("web.pulse", "CNAME", "web.pulse")),
    "a record that is not there": RecordsRemoved(ESCAPE, "A"),
    "a route to loopback": RoutesReplaced([Route(NODE, "127.0.0.0/8", approved=True)], {}),
    "a route to metadata": RoutesReplaced([Route(NODE, "169.254.169.254/32", approved=True)], {}),
    "a route into the mesh": RoutesReplaced([Route(NODE, "10.100.0.0/24", approved=True)], {}),
    "a route with escapes": RoutesReplaced([Route(NODE, ESCAPE, approved=True)], {}),
    "the whole Internet by a tag": RoutesReplaced([], {"0.0.0.0/0": "exit"}),
    "all of IPv6 by a tag": RoutesReplaced([], {"::/0": "exit"}),
}


@pytest.fixture(scope="module")
def before(operator: Asked) -> list[object]:
    """What is in force before the bad edits."""
    return kept(operator)


@pytest.mark.parametrize("edit", MISSHAPEN.values(), ids=MISSHAPEN)
def test_what_no_config_can_hold_is_not_written_for_an_operator_either(
    operator: Asked, before: list[object], edit: Wire
) -> None:
    good = NodeTagged(node_bytes(operator.node), "other")

    said = refused(operator, "config.edit", encode([[good, edit], None, True]))

    assert said.error in HARMLESS, said


def test_nothing_of_all_that_was_written(operator: Asked, before: list[object]) -> None:
    assert kept(operator) == before
    shown = operator.ca.host.pulse("status").stdout + operator.ca.log
    assert all(char == "\n" or char.isprintable() for char in shown)


def test_an_operator_gets_no_token_out_of_nonsense(operator: Asked) -> None:
    bodies = [b'{"max_uses":-1}', b'{"tags":["' + ESCAPE.encode() + b'"]}', b'{"ttl":1e999}', b"[" * DEEP]
    for body in (*bodies, b'{"name":"' + b"a" * 65 + b'"}', b'{"max_uses":' + b"9" * DEEP + b"}", b'"'):
        said = refused(operator, "tokens", encode(["create", body]))
        assert said.error in HARMLESS, (body[:40], said)
