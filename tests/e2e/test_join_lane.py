"""All that a node's port says to a stranger is known, and all that a joiner says holds no token.

The strangers speak QUIC by a stack that is not ours, so they see every byte before anybody hides one.
"""

import secrets
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509

from pulse import clock
from pulse.core.trust.authorities import chain_of
from pulse.core.trust.ca import DAY
from pulse.core.trust.certificates import parse
from pulse.core.trust.identity import mesh_v6
from pulse.core.trust.join import (
    Denied,
    Refusal,
    build_csr,
    build_general_refusal,
    build_request,
    build_showing,
    parse_answer,
    request_is_from,
)
from pulse.core.trust.renew import build_renewal
from pulse.core.trust.renew import parse_answer as parse_renewed
from pulse.core.trust.tokens import parse_token
from pulse.core.types import MeshAddresses
from pulse.errors import Refused
from pulse.lab.lab import Lab
from pulse.store.authority import open_issuer
from pulse.store.identity import load
from tests.authority import Ca, key, node
from tests.e2e.forgery import foreign
from tests.e2e.mesh import Node, Pair
from tests.e2e.rogue import Rogue, member_like
from tests.e2e.stranger import JOIN, JOIN_PINNED, LINK, Heard, Stranger
from tests.e2e.wire import tapped

KNOCK = b"\0"
"""The byte that makes a joiner's stream known to the lane."""

NO_GREETING = bytes(4)
WRONG = "a-wrong-token-0123456789-abcdefghijkl"


def framed(message: bytes) -> bytes:
    """A message as it stands on a stream."""
    return len(message).to_bytes(4, "big") + message


def messages_in(stream: bytes) -> list[bytes]:
    """The messages that stand on a stream; all of it must be messages."""
    found = []
    while stream:
        size = int.from_bytes(stream[:4], "big")
        assert len(stream) >= 4 + size
        found.append(stream[4 : 4 + size])
        stream = stream[4 + size :]
    return found


def request(token: str) -> bytes:
    """What a joiner asks with that token."""
    return build_request(parse_token(token).keys, build_csr(key("stranger")), secrets.token_bytes(16), "stranger")


def hears(pair: Pair, alpn: str, says: bytes) -> Heard:
    """All that the CA's join lane says to a stranger who hears its greeting out, and then says this."""
    with Stranger(pair.lab["s"], door(pair), alpn, marked=True) as stranger:
        stranger.says(KNOCK)
        size = int.from_bytes(stranger.listens(enough=4).stream[:4], "big")
        stranger.listens(enough=4 + size)
        stranger.says(says)
        return stranger.listens()


def door(pair: Pair) -> str:
    """The CA's address for host s."""
    return str(pair.ca.host.ports[1].v4.ip)


def secrets_of(pair: Pair) -> list[bytes]:
    """What a stranger must not learn on the plain lane: who this is, and which network it is in."""
    node = pair.ca.status().node
    ids = [node.id, node.ca_hash, node.v4, node.v6]
    issuer = open_issuer(pair.ca.host.data)
    return [
        *(text.encode() for text in ids),
        *(bytes.fromhex(text) for text in ids[:2]),
        issuer.network.label.encode(),
        b"pulse://",
        issuer.authority.der,
    ]


@pytest.fixture(scope="module")
def greeted(watched: Pair) -> Heard:
    """What the plain lane says to one who knocks and asks for nonsense."""
    return hears(watched, JOIN, framed(b"let me in"))


def test_the_plain_lane_shows_a_throw_away_certificate_and_greets_with_nothing(watched: Pair, greeted: Heard) -> None:
    (certificate,) = (x509.load_der_x509_certificate(der) for der in greeted.certificates)

    assert certificate.issuer == certificate.subject
    assert greeted.stream == NO_GREETING
    assert greeted.closed == (0, "")
    said = [*greeted.certificates, greeted.stream]
    assert [secret for secret in secrets_of(watched) for text in said if secret in text] == []


def test_two_nodes_throw_away_different_certificates(watched: Pair, greeted: Heard) -> None:
    with Stranger(watched.ca.host, str(watched.member.host.v4.ip), JOIN, marked=True) as stranger:
        stranger.says(KNOCK)
        other = stranger.listens(enough=4)

    assert other.certificates != greeted.certificates
    assert len(other.certificates[0]) == len(greeted.certificates[0])


def test_the_pinned_lane_shows_leaf_and_ca_certificates_and_no_more(watched: Pair) -> None:
    issuer = open_issuer(watched.ca.host.data)

    heard = hears(watched, JOIN_PINNED, framed(b"let me in"))

    (leaf,) = heard.certificates
    assert parse(leaf).node_id == watched.ca.status().node.id
    assert messages_in(heard.stream) == [build_showing(issuer.authorities)]
    assert heard.closed == (0, "")


@pytest.mark.parametrize("alpn", [JOIN, JOIN_PINNED])
def test_a_wrong_token_hears_that_and_the_time_and_no_more(watched: Pair, alpn: str) -> None:
    asked = request(WRONG)

    heard = hears(watched, alpn, framed(asked))

    _, answer = messages_in(heard.stream)
    said = parse_answer(answer, asked, parse_token(WRONG).keys)
    assert answer == build_general_refusal(Refusal.UNKNOWN_TOKEN, said.time)


def renewal(watched: Pair, forged: str) -> bytes:
    """A request for the next certificate of the member, or of one with its CA's word, that is false in one way."""
    member, thief = load(watched.member.host.data), key("thief")
    issuer, nonce = open_issuer(watched.ca.host.data), secrets.token_bytes(16)
    match forged:
        case "another key":
            return build_renewal(member.certificate, nonce, thief)
        case "a foreign CA":
            return build_renewal(Ca("other ca", issuer.network.name).certificate("thief"), nonce, thief)
        case "another network":
            return build_renewal(Ca(network_name="elsewhere").certificate("thief"), nonce, thief)
        case _:
            true = bytearray(build_renewal(member.certificate, nonce, member.key))
            true[-1] ^= 1
            return bytes(true)


@pytest.mark.parametrize("forged", ["another key", "a foreign CA", "another network", "a bit off"])
def test_a_forged_renewal_hears_nothing_but_the_greeting(watched: Pair, forged: str) -> None:
    assert hears(watched, JOIN, framed(renewal(watched, forged))).stream == NO_GREETING
    assert "renewal request forged" in watched.ca.log


def test_a_renewal_is_judged_by_the_ledger_and_answered_under_the_cas_key(watched: Pair) -> None:
    """Too early it is the certificate there is, more than 30 days too late a refusal: from a stranger's stack, too."""
    member, issuer = load(watched.member.host.data), open_issuer(watched.ca.host.data)
    past = clock.wall() - 31 * DAY
    addresses = MeshAddresses(IPv4Address("10.100.250.250"), mesh_v6(issuer.network, node("old")))
    grant = replace(Ca().grant("old"), addresses=addresses)
    old = parse(issuer.issue(replace(grant, not_before=past - 90 * DAY, not_after=past), 4711))
    for shown, signer, expected in ((member.certificate, member.key, None), (old, key("old"), Refusal.TOO_LATE)):
        asked = build_renewal(shown, secrets.token_bytes(16), signer)
        _, answer = messages_in(hears(watched, JOIN, framed(asked)).stream)
        said = parse_renewed(answer, asked, shown, chain_of(issuer.network, issuer.authorities, ()))
        assert (said.refusal if isinstance(said, Denied) else None) == expected
        assert isinstance(said, Denied) or said.certificate == member.certificate


@pytest.mark.parametrize(
    "says",
    [
        framed(bytes(65_537))[:20],
        b"\xff\xff\xff\xff",
        framed(b""),
        framed(secrets.token_bytes(300)),
    ],
    ids=["too long", "far too long", "empty", "noise"],
)
def test_nonsense_hears_nothing_but_the_greeting(watched: Pair, says: bytes) -> None:
    heard = hears(watched, JOIN, says)

    assert heard.stream == NO_GREETING
    assert heard.alert is None
    assert watched.ca.status().well


def test_the_link_lane_shows_its_leaf_and_no_more(watched: Pair) -> None:
    with Stranger(watched.lab["s"], door(watched), LINK) as stranger:
        heard = stranger.listens()

    (leaf,) = heard.certificates
    assert parse(leaf).node_id == watched.ca.status().node.id
    assert heard.stream == b""


def test_a_joiner_shows_no_token_to_whoever_answers(lab: Lab) -> None:
    """A lane that answers for a CA it is not gets a request that holds no token, and no believer."""
    with Rogue(lab["b"]) as rogue:
        ca = founded(lab)
        rogue.believes(open_issuer(ca.host.data))
        rogue.shows(member_like(ca))
        joining = ca.host.popen(beside(ca, lab, "join", rogue.address, "--token", WRONG))

        _, offer, _, asked = rogue.waits("JoinOffered")
        rogue.plane.answer_join(offer, secrets.token_bytes(200))

        assert joining.wait() == Refused.exit_code
        assert request_is_from(asked, parse_token(WRONG).keys)
        assert WRONG.encode() not in asked


def founded(lab: Lab) -> Node:
    """A CA that was started and stopped: its keys are all that is wanted."""
    ca = Node(lab["a"])
    ca.start("--ca", "--network", "test")
    return ca


def beside(ca: Node, lab: Lab, *arguments: str) -> list[str]:
    """A command of pulse on the CA's host, with a data directory of its own."""
    return [*ca.host.pulse_command(*arguments)[:-1], str(lab["a"].directory / "beside")]


def test_a_joiner_with_a_pinned_ca_says_nothing_to_another(lab: Lab) -> None:
    with Rogue(lab["b"]) as rogue:
        ca = founded(lab)
        thief = member_like(ca)
        rogue.believes(open_issuer(ca.host.data))
        rogue.shows(foreign(thief))
        joining = ca.host.popen(beside(ca, lab, "join", rogue.address, "--token", ca.token()))

        assert joining.wait() == Refused.exit_code
        assert "JoinOffered" not in [event[0] for event in rogue.listens(0.2)]


def test_neither_token_nor_network_can_be_read_on_the_wire_of_a_join(watched: Pair, tmp_path: Path) -> None:
    token = watched.ca.token()
    directory = str(tmp_path / "joiner")
    command = [*watched.member.host.pulse_command("join", watched.ca.underlay, "--token", token)[:-1], directory]
    with tapped(watched.ca.host) as tap:
        watched.member.host.run(command)
        passed = [datagram.payload for datagram in tap.rest()]

    canaries = [token.encode(), token.partition(".")[0].encode(), *secrets_of(watched)]
    assert len(passed) > 4
    assert [canary for canary in canaries for payload in passed if canary in payload] == []
