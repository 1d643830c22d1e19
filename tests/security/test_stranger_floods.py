"""Floods of strangers at the port of a node: it remembers nothing of them, answers little, and serves its peers.

The rate is that of issue 4: a thousand handshakes a second, none of which is ever carried on.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from pulse.lab.host import Host, wait_until
from tests.e2e.exchange import noise
from tests.e2e.mesh import PATIENCE, Node
from tests.e2e.stranger import JOIN, LINK, Stranger
from tests.e2e.wire import tapped
from tests.security.flood import Told, framed, half_open, initials, is_retry, spoofed, told
from tests.security.frames import Header, Kind
from tests.security.scene import Scene, memory, unharmed

pytestmark = pytest.mark.alone

RATE = 1000
COUNT = 2 * RATE
GROWTH = 64 << 20
"""Bytes a flood may cost at most."""
LEFT = 16 << 20
"""Bytes of them that may be left when it is over: what the allocator keeps for the next one."""
AMPLIFIED = 3
"""Bytes out for each byte in, at most, to an address that was not proven (RFC 9000 §8.1)."""
ECHOES = 0.95
"""Share of pings that are answered all the same."""
AT_ONCE = 3 * 50 + 32
"""Handshakes that may be begun without a proof in the two seconds and a bit of a flood."""

Flood = Callable[[Host, Node, list[bytes], int], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def links() -> list[bytes]:
    """First packets that ask for a link."""
    return initials(COUNT, LINK)


@pytest.fixture(scope="module")
def joins() -> list[bytes]:
    """First packets that ask to join."""
    return initials(COUNT, JOIN, marked=True)


def withstands(scene: Scene, flood: AbstractContextManager[None], pings: int = 80) -> None:
    """The CA serves all through it: pings and a flow pass, memory stays flat, and in the end all is as it was."""
    held = memory(scene.ca)
    with unharmed(scene), flood:
        pinged = scene.member.pings(scene.ca.v4, "-c", str(pings), "-i", "0.02", "-q")
        grown = memory(scene.ca) - held
    assert grown <= GROWTH
    assert answered(pinged.stdout) >= ECHOES * pings
    wait_until(lambda: memory(scene.ca) - held <= LEFT, "the CA's memory is back", PATIENCE)


def answers(scene: Scene, flood: Flood, packets: list[bytes], pings: int = 80) -> Told:
    """What that flood from host s was answered with; the CA withstood it."""
    host = scene.pair.lab["s"]
    with tapped(host) as tap:
        withstands(scene, flood(host, scene.ca, packets, RATE), pings)
        return told(tap, scene.ca)


def answered(said: str) -> int:
    """How many pings were answered, as ping counts them."""
    return int(said.split(" packets transmitted, ")[1].split(maxsplit=1)[0])


@pytest.mark.parametrize("flood", [half_open, spoofed])
def test_a_flood_of_links_is_asked_to_prove_its_addresses(scene: Scene, links: list[bytes], flood: Flood) -> None:
    heard = answers(scene, flood, links)

    assert heard.retries >= COUNT - AT_ONCE
    assert is_small(heard)


@pytest.mark.parametrize("flood", [half_open, spoofed])
def test_a_flood_of_joiners_is_asked_to_prove_its_addresses(scene: Scene, joins: list[bytes], flood: Flood) -> None:
    heard = answers(scene, flood, joins)

    assert heard.retries == COUNT
    assert is_small(heard)


def test_a_single_stranger_gets_through_a_flood(scene: Scene, links: list[bytes]) -> None:
    """It answers the Retry, as those who only flood do not."""
    with (
        half_open(scene.pair.lab["s"], scene.ca, links, RATE),
        Stranger(scene.pair.lab["r"], str(scene.ca.host.v4.ip), LINK) as caller,
    ):
        heard = caller.listens()

    assert heard.alert == 116, "turned away for want of a certificate, and not before"


NOISE: dict[str, list[bytes]] = {
    "unknown versions": [b"\xc0\x1a\x2a\x3a\x4a\x08" + noise(f"version {n}", 1194) for n in range(500)],
    "short packets of unknown versions": [b"\xc0\x1a\x2a\x3a\x4a\x08" + noise(f"v {n}", 30) for n in range(500)],
    "short headers": [b"\x40" + noise(f"short {n}", 22 + n % 1000) for n in range(500)],
    "first packets of no sense": [b"\xc0\0\0\0\x01\x08" + noise(f"first {n}", 1194) for n in range(500)],
    "version negotiation": [b"\xc0\0\0\0\0\x08" + noise(f"negotiation {n}", 500) for n in range(500)],
}


@pytest.mark.parametrize("thrown", NOISE.values(), ids=NOISE)
def test_noise_from_nobody_is_answered_with_less_than_it_brings(scene: Scene, thrown: list[bytes]) -> None:
    heard = answers(scene, spoofed, thrown, pings=20)

    assert heard.sent == sum(map(len, thrown))
    assert heard.heard <= heard.sent


def is_small(heard: Told) -> bool:
    """True if a stranger gained nothing by it."""
    return heard.sent > 0 and heard.heard <= AMPLIFIED * heard.sent


def test_a_member_that_floods_the_session_lane_is_asked_for_a_proof(scene: Scene, links: list[bytes]) -> None:
    link = scene.link
    frames = [link.seals(Header(link.me, link.there, Kind.SESSION), each) for each in links]

    withstands(scene, framed(link, frames, RATE))

    heard = [frame.body for frame in link.frames if frame.header.kind == Kind.SESSION]
    assert sum(map(is_retry, heard)) >= COUNT - AT_ONCE - 100
    assert sum(map(len, heard)) <= AMPLIFIED * sum(map(len, links))
    assert link.is_alive()
