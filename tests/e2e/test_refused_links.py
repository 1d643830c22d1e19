"""Nobody without a good certificate of this network gets a link, and nobody who tries it does harm.

The callers speak QUIC by a stack that is not ours, so what refuses them is the node alone. Certificates that prove
nobody, at every door, are in `tests/security/test_certificates.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.store.authority import open_issuer
from tests.e2e import forgery
from tests.e2e.forgery import Wanted
from tests.e2e.mesh import PATIENCE, Node, Pair
from tests.e2e.rogue import Rogue, member_like
from tests.e2e.stranger import JOIN, JOIN_PINNED, LINK, SESSION, Heard, Stranger

DECRYPT_ERROR, NO_PROTOCOL = 51, 120
"""Alerts of TLS (RFC 8446 §6)."""

FORGED: list[tuple[Callable[[Wanted], Wanted], str]] = [
    (forgery.foreign, "not signed by a trusted CA"),
    (forgery.expired, "its certificate has expired"),
    (forgery.of_another_network, "it belongs to another network"),
]


@contextmanager
def undisturbed(pair: Pair) -> Iterator[str]:
    """The CA's door for host s; afterwards the CA is linked as it was."""
    before = linked(pair)
    yield str(pair.ca.host.ports[1].v4.ip)
    assert linked(pair) == before


def linked(pair: Pair) -> tuple[bool, list[tuple[str, str]]]:
    """Whether all is well with the CA, and its peers."""
    status = pair.ca.status()
    return status.well, [(peer.id, peer.link) for peer in status.peers]


def turned_away(
    pair: Pair,
    reason: str,
    alpn: str | None = LINK,
    shows: Wanted | None = None,
    *,
    key: Ed25519PrivateKey | None = None,
    says: bytes = b"",
    marked: bool = False,
) -> Heard:
    """What a stranger hears at the CA's door, whose log then says why it was turned away."""
    told = len(pair.ca.log)
    certificate, key = (shows.made(), key or shows.key) if shows else (None, None)
    with undisturbed(pair) as door:
        with Stranger(pair.lab["s"], door, alpn, certificate=certificate, key=key, marked=marked) as stranger:
            stranger.says(says)
            heard = stranger.listens()
        wait_until(lambda: says_since(pair.ca, told, reason), f"the log says: {reason}", PATIENCE)
    return heard


def test_a_good_certificate_without_its_key_gets_no_link(watched: Pair) -> None:
    thief = Ed25519PrivateKey.generate()

    heard = turned_away(watched, "refused a link: invalid peer certificate", shows=member_like(watched.ca), key=thief)

    assert heard.alert == DECRYPT_ERROR
    assert heard.stream == b""


def test_a_good_certificate_passes_that_door_and_fails_only_for_its_hello(watched: Pair) -> None:
    heard = turned_away(watched, "undecodable hello", shows=member_like(watched.ca), says=b"\0\0\0\1\0")

    assert heard.alert is None
    assert heard.stream == b""


@pytest.mark.parametrize(
    ("alpn", "marked"),
    [
        (JOIN, False),
        (JOIN_PINNED, False),
        (SESSION, False),
        ("h3", False),
        (None, False),
        (LINK, True),
        (SESSION, True),
    ],
)
def test_a_lane_takes_only_its_own_protocol(watched: Pair, alpn: str | None, marked: bool) -> None:
    heard = turned_away(watched, "", alpn, member_like(watched.ca), marked=marked)

    assert heard.alert == NO_PROTOCOL
    assert heard.certificates == []


def test_a_hundred_strangers_at_once_do_not_disturb_the_mesh(watched: Pair) -> None:
    with undisturbed(watched) as door:
        strangers = [Stranger(watched.lab["s"], door, LINK) for _ in range(100)]
        for stranger in strangers:
            stranger.listens(0.01)
        assert watched.member.reaches(watched.ca)
        for stranger in strangers:
            stranger.__exit__()


def test_a_node_links_with_no_forger_it_dials(lab: Lab) -> None:
    ca = Node(lab["a"])
    with Rogue(lab["b"]) as rogue:
        ca.start("--ca", "--network", "test", "--log-level", "debug", rogue.address)
        rogue.believes(open_issuer(ca.host.data))
        good = member_like(ca)
        for forge, reason in FORGED:
            told = len(ca.log)
            rogue.shows(forge(good))
            wait_until(partial(says_since, ca, told, reason), f"the CA says: {reason}", PATIENCE)

        assert not any(event[0] == "LinkUp" for event in rogue.listens(0))

    status = ca.status()
    assert not status.well
    assert status.peers == [] or status.peers[0].link == "-"


def says_since(node: Node, told: int, reason: str) -> bool:
    """True if what its log says after `told` characters holds the reason."""
    return reason in node.log[told:]
