"""The CA's decision, against a register in memory."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from pulse.core.messages import pack
from pulse.core.trust.admission import (
    CLOCK_LEAP,
    HELD_AFTER,
    Admit,
    AdmitOwn,
    Decision,
    Deny,
    Issued,
    Reissue,
    Repeat,
    clock_is_sound,
    decide,
    decide_own,
    decide_signed,
)
from pulse.core.trust.ca import LEAF_LIFETIME, Issuer
from pulse.core.trust.identity import mesh_v6, v4_choices
from pulse.core.trust.join import Refusal, Request, build_csr, build_request, parse_request
from pulse.core.trust.tokens import TokenRecord, new_token
from pulse.core.types import NodeId
from tests.authority import MESH, NONCE, NOW, Ca, key, node, request, secret, token

CA = Ca()
TOKEN = token("t", tags=("db",))
LEAF = CA.leaf("a")


@dataclass
class Memory:
    """A register in memory, written by the tests."""

    known: list[TokenRecord] = field(default_factory=lambda: [TOKEN])
    newest: float = NOW
    revoked: set[NodeId] = field(default_factory=set)
    issued: dict[NodeId, Issued] = field(default_factory=dict)
    addresses: dict[IPv4Address, tuple[NodeId, float]] = field(default_factory=dict)
    names: dict[str, NodeId] = field(default_factory=dict)

    def newest_time(self) -> float:
        return self.newest

    def token(self, selector: bytes) -> TokenRecord | None:
        return next((each for each in self.known if each.keys.selector == selector), None)

    def is_revoked(self, node: NodeId) -> bool:
        return node in self.revoked

    def newest_certificate(self, node: NodeId) -> Issued | None:
        return self.issued.get(node)

    def address_of(self, node: NodeId) -> IPv4Address | None:
        return next((v4 for v4, (holder, _) in self.addresses.items() if holder == node), None)

    def address_is_held(self, address: IPv4Address, now: float) -> bool:
        return address in self.addresses and now < self.addresses[address][1]

    def name_holder(self, name: str, now: float) -> NodeId | None:
        return self.names.get(name) if now else None


def ask(
    register: Memory, *, data: bytes = b"", now: float = NOW, vouched: bool = False, issuer: Issuer = CA.issuer
) -> Decision:
    data = data or request("a", TOKEN, "box")
    return decide(parse_request(data), data, register, issuer, now, vouched=vouched)


def admitted(decision: object) -> Admit:
    assert isinstance(decision, Admit)
    return decision


def refusal(decision: Decision) -> Refusal:
    assert isinstance(decision, Deny)
    return decision.refusal


def test_a_good_token_admits_with_its_tags_and_the_first_choice_of_addresses() -> None:
    admit = admitted(ask(Memory()))
    assert (admit.node, admit.token) == (node("a"), TOKEN)
    grant = admit.grant
    assert grant.addresses.v4 == next(v4_choices(node("a"), MESH))
    assert grant.addresses.v6 == mesh_v6(CA.network, node("a"))
    assert (grant.host, grant.name, grant.tags, grant.is_ca) == ("box", None, ("db",), False)
    assert (grant.not_before, grant.not_after) == (NOW - 3600, NOW + LEAF_LIFETIME)
    assert admit.held_until == NOW + LEAF_LIFETIME + HELD_AFTER


def test_an_unknown_selector_and_a_wrong_mac_look_the_same() -> None:
    wrong = bytearray(request("a", TOKEN))
    wrong[-1] ^= 1
    for data in (request("a", token("other")), bytes(wrong)):
        assert ask(Memory(), data=data) == Deny(Refusal.UNKNOWN_TOKEN)


def test_a_request_without_a_proven_key_is_refused_under_the_token() -> None:
    bad = build_request(TOKEN.keys, build_csr(key("a"))[:-1] + b"\x00", NONCE)
    assert ask(Memory(), data=bad) == Deny(Refusal.BAD_REQUEST, TOKEN)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (replace(TOKEN, expires=NOW), Refusal.EXPIRED),
        (replace(TOKEN, max_uses=3, uses=3), Refusal.USED_UP),
        (replace(TOKEN, revoked=NOW), Refusal.TOKEN_REVOKED),
    ],
)
def test_a_token_past_its_terms_is_refused(stored: TokenRecord, expected: Refusal) -> None:
    assert refusal(ask(Memory([stored]))) is expected


@pytest.mark.parametrize("stored", [replace(TOKEN, expires=NOW), replace(TOKEN, max_uses=1, uses=1)])
def test_a_retry_gets_its_certificate_though_the_token_is_spent(stored: TokenRecord) -> None:
    issued = Issued(LEAF, TOKEN.keys.selector, NOW + 1)
    register = Memory([stored], issued={node("a"): issued})
    assert ask(register) == Repeat(node("a"), LEAF, stored)
    assert not isinstance(ask(register, now=NOW + 1), Repeat)


def test_a_retry_of_a_revoked_node_or_token_gets_nothing() -> None:
    issued = {node("a"): Issued(b"der", TOKEN.keys.selector, NOW + 1)}
    assert refusal(ask(Memory(issued=issued, revoked={node("a")}))) is Refusal.NODE_REVOKED
    assert refusal(ask(Memory([replace(TOKEN, revoked=NOW)], issued=issued))) is Refusal.TOKEN_REVOKED


def test_another_token_or_an_ended_certificate_makes_a_new_one_at_the_same_address() -> None:
    v4 = IPv4Address("10.100.7.7")
    for issued in (Issued(b"der", b"other", NOW + 1), Issued(b"der", TOKEN.keys.selector, NOW)):
        register = Memory(issued={node("a"): issued}, addresses={v4: (node("a"), NOW + 1)})
        assert admitted(ask(register)).grant.addresses.v4 == v4


def test_a_clock_set_back_brings_no_token_back() -> None:
    assert refusal(ask(Memory([replace(TOKEN, expires=NOW)]), now=NOW - 1e6)) is Refusal.EXPIRED
    assert admitted(ask(Memory(), now=NOW - 1e6)).grant.not_after == NOW + LEAF_LIFETIME


def test_nothing_is_signed_after_the_clock_leapt_unless_somebody_vouches() -> None:
    leapt = NOW + CLOCK_LEAP + 1
    assert refusal(ask(Memory(), now=leapt)) is Refusal.CA_CLOCK
    assert admitted(ask(Memory(), now=leapt, vouched=True)).grant.not_after == leapt + LEAF_LIFETIME
    assert admitted(ask(Memory(), now=NOW + CLOCK_LEAP))
    assert clock_is_sound(Memory(), leapt, vouched=True)


@pytest.mark.parametrize("signer", ["the key of now", "a key of before"])
def test_a_retry_too_gets_nothing_after_the_clock_leapt(signer: str) -> None:
    issuer = CA.issuer if signer == "the key of now" else Ca("another key").issuer
    leapt = NOW + CLOCK_LEAP + 1
    register = Memory(issued={node("a"): Issued(LEAF, TOKEN.keys.selector, NOW + LEAF_LIFETIME)})

    assert refusal(ask(register, now=leapt, issuer=issuer)) is Refusal.CA_CLOCK
    vouched = ask(register, now=leapt, vouched=True, issuer=issuer)
    assert isinstance(vouched, Repeat if issuer is CA.issuer else Reissue)
    register.revoked.add(node("a"))
    assert refusal(ask(register, now=leapt, issuer=issuer)) is Refusal.NODE_REVOKED


def test_a_taken_address_gives_way_to_the_next_free_one() -> None:
    first, second, third = list(v4_choices(node("a"), MESH))[:3]
    taken = {first: (node("b"), NOW + 1), second: (node("c"), NOW)}
    assert admitted(ask(Memory(addresses=taken))).grant.addresses.v4 == second
    taken[second] = (node("c"), NOW + 1)
    assert admitted(ask(Memory(addresses=taken))).grant.addresses.v4 == third


def test_a_full_range_is_told() -> None:
    issuer = replace(CA.issuer, mesh_cidr=IPv4Network("10.0.0.0/30"))
    taken = {IPv4Address(f"10.0.0.{number}"): (node("b"), NOW + 1) for number in (1, 2)}
    assert refusal(ask(Memory(addresses=taken), issuer=issuer)) is Refusal.RANGE_FULL


def test_an_address_outside_a_new_range_is_given_up() -> None:
    register = Memory(addresses={IPv4Address("10.99.0.1"): (node("a"), NOW + 1)})
    assert admitted(ask(register)).grant.addresses.v4 in MESH


@pytest.mark.parametrize("host", ["cafe", "4be27a33", "Box", "a b", "a\x1b[2J", "x" * 64, "localhost", "wpad"])
def test_a_name_that_reads_as_an_id_or_is_no_label_is_refused(host: str) -> None:
    assert refusal(ask(Memory(), data=request("a", TOKEN, host))) is Refusal.BAD_NAME


def test_a_token_of_before_names_were_reserved_gives_none_of_them() -> None:
    old = replace(TOKEN, name="localhost", max_uses=1)
    assert refusal(ask(Memory([old]), data=request("a", old))) is Refusal.BAD_NAME


def test_a_requested_name_is_first_come_and_numbered_after() -> None:
    assert admitted(ask(Memory(names={"box": node("b")}))).grant.host == "box-2"
    assert admitted(ask(Memory(names={"box": node("b"), "box-2": node("c")}))).grant.host == "box-3"
    assert admitted(ask(Memory(names={"box": node("a")}))).grant.host == "box"
    long = "x" * 63
    register = Memory(names={long: node("b")})
    assert admitted(ask(register, data=request("a", TOKEN, long))).grant.host == "x" * 61 + "-2"
    assert admitted(ask(Memory(), data=request("a", TOKEN))).grant.host is None


def test_a_name_taken_a_thousand_times_is_left_out() -> None:
    names = {"box": node("b")} | {f"box-{number}": node("b") for number in range(2, 1000)}
    assert admitted(ask(Memory(names=names))).grant.host is None


def test_a_tokens_name_is_granted_unless_another_node_has_it() -> None:
    named = new_token(secret("n"), NOW, max_uses=1, name="db-1")
    data = request("a", named)
    assert admitted(ask(Memory([named]), data=data)).grant.name == "db-1"
    assert admitted(ask(Memory([named], names={"db-1": node("a")}), data=data)).grant.name == "db-1"
    assert refusal(ask(Memory([named], names={"db-1": node("b")}), data=data)) is Refusal.NAME_TAKEN


def test_the_cas_own_node_needs_no_token() -> None:
    own = decide_own(build_csr(key("a")), "ca-1", Memory(), CA.issuer, NOW)
    assert isinstance(own, AdmitOwn)
    assert own.grant.is_ca
    assert isinstance(decide_own(build_csr(key("a")), "cafe", Memory(), CA.issuer, NOW), Deny)


def test_a_later_version_of_the_request_is_still_read() -> None:
    body = pack(Request(9, TOKEN.keys.selector, build_csr(key("a")), NONCE, "box"))
    assert parse_request(body + bytes(32)).version == 9


def test_after_a_moment_ahead_the_clock_that_is_right_again_makes_certificates_good_at_once() -> None:
    ahead = NOW + 5 * 3600
    own = decide_own(build_csr(key("ca")), "ca", Memory(newest=ahead), CA.issuer, NOW)
    brought = decide_signed(build_csr(key("b")), None, (), Memory(newest=ahead), CA.issuer, NOW)
    for decision in (ask(Memory(newest=ahead)), own, brought):
        assert isinstance(decision, AdmitOwn)
        assert (decision.grant.not_before, decision.grant.not_after) == (NOW - 3600, ahead + LEAF_LIFETIME)
