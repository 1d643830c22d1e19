"""Sessions in frames by a stack that is not ours: from a false address, with no certificate, or with nonsense in them.

The rogue's link is good and so its frames pass; what refuses it is the session lane alone.
"""

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from pulse.core.messages import Hello
from tests.e2e.exchange import noise
from tests.e2e.stranger import ALERTS, JOIN, LINK
from tests.security.frames import UNSPECIFIED, Header, Kind
from tests.security.link import CONTROL, Link
from tests.security.packets import Ends
from tests.security.rogue import Rogue
from tests.security.scene import Scene, bad_member, memory, told_since, unharmed
from tests.security.session import KEYS, KEYS_USED, Session

PROTOCOL, REFUSED = 1, 2
"""Codes a session is closed with."""

NO_PROTOCOL = 120
"""An alert of TLS (RFC 8446 §6)."""

SECONDS = 1.0
pack = msgspec.msgpack.encode


@pytest.fixture
def link(scene: Scene) -> Iterator[Link]:
    """The rogue's link: it stays, whatever is said in sessions."""
    with unharmed(scene):
        yield scene.link
        assert scene.link.is_alive()


@pytest.fixture
def accomplice(scene: Scene) -> Iterator[Link]:
    """The link of another rogue with the CA."""
    with Rogue(scene.pair.lab["s"], bad_member(scene.ca)) as other:
        yield other.dials(scene.ca)


def test_a_session_made_by_heart_is_a_session(scene: Scene) -> None:
    """Else no refusal here would mean a thing."""
    session = Session([scene.link])

    session.waits_up()

    assert session.is_alive()
    assert session.is_alive(Ends(scene.rogue.shows.addresses[1], scene.ca.v6))


def test_a_session_from_the_handle_of_another_member_is_refused(scene: Scene, accomplice: Link) -> None:
    """The owner of that handle even helps: it hands over the answers. But the certificate is the caller's own."""
    told = len(scene.ca.log)

    session = Session([scene.link, accomplice], src=accomplice.me)

    assert session.waits_closed() == (REFUSED, "refused")
    told_since(scene.ca, told, f"came from ::ffff:{accomplice.me}, which is not its address")
    assert not session.heard.greeted
    assert "session up" not in scene.ca.log[told:]


@pytest.mark.parametrize("whose", ["the member", "the CA itself", "nobody"])
def test_a_session_from_a_handle_whose_owner_does_not_help_is_never_answered(
    scene: Scene, link: Link, whose: str
) -> None:
    told = len(scene.ca.log)
    handles = {"the member": scene.member.v4, "the CA itself": scene.ca.v4, "nobody": "10.100.99.99"}

    session = Session([link], src=handles[whose])
    heard = session.listens(SECONDS)

    assert (heard.frames, heard.greeted) == (0, False)
    assert "session up" not in scene.ca.log[told:]


@pytest.mark.parametrize("alpn", [LINK, JOIN, "h3"])
def test_the_session_lane_speaks_of_nothing_else(link: Link, alpn: str) -> None:
    session = Session([link], alpn=alpn)

    assert session.waits_closed()[0] == ALERTS.start + NO_PROTOCOL


NO_HELLOS = [
    *(b"", b"\0", pack([1]), pack([2, 1]), noise("hello", 500), bytes(60_000)),
    *(pack(Hello(1, bytes(16), 0, 0, clock, bytes(32), 1)) for clock in (-1.0, 1e300, float("inf"), float("nan"))),
]


@pytest.mark.parametrize("hello", NO_HELLOS, ids=lambda hello: hello.hex()[:16] + f"-{len(hello)}")
def test_a_session_without_a_hello_is_none(scene: Scene, link: Link, hello: bytes) -> None:
    told = len(scene.ca.log)

    session = Session([link], hello=hello)

    assert session.waits_closed() == (PROTOCOL, "protocol")
    assert "session up" not in scene.ca.log[told:]


BROKEN = [b"", b"\x90", pack([KEYS, bytes(31), 7]), pack([KEYS]), pack([KEYS_USED, -1]), pack({}), noise("said", 99)]


@pytest.mark.parametrize("said", BROKEN, ids=repr)
def test_nonsense_on_its_control_stream_ends_a_session(link: Link, said: bytes) -> None:
    session = Session([link])
    session.waits_up()

    session.says(said)

    assert session.waits_closed() == (PROTOCOL, "its control stream broke")


def test_a_key_that_agrees_on_nothing_ends_a_session(link: Link) -> None:
    """All zeros is a point of small order: the shared secret would be known to everybody (RFC 7748 §6.1)."""
    session = Session([link])
    session.waits_up()

    session.says(pack([KEYS, bytes(32), 7]))

    assert session.waits_closed() == (PROTOCOL, "key agreement failed")


def test_a_message_over_64_kib_ends_a_session(link: Link) -> None:
    session = Session([link])
    session.waits_up()

    with session.turn:
        session.talk.send_stream_data(CONTROL, (2**16 + 1).to_bytes(4) + bytes(100))
        session.flush()

    assert session.waits_closed() == (PROTOCOL, "its control stream broke")


def test_swaps_of_keys_without_end_take_no_memory(scene: Scene, link: Link) -> None:
    session = Session([link])
    session.waits_up()
    held = memory(scene.ca)

    for _ in range(20):
        session.offers_keys(100)
        assert link.is_alive()

    assert memory(scene.ca) - held < 16 << 20


def test_words_of_a_later_release_are_skipped(link: Link) -> None:
    session = Session([link])
    session.waits_up()

    session.says(*[pack([99, "later"])] * 1000, *[pack([KEYS_USED, 7])] * 1000)

    assert session.is_alive()


def test_streams_of_no_known_kind_and_half_a_header_do_no_harm(scene: Scene, link: Link) -> None:
    session = Session([link])
    session.waits_up()
    held = memory(scene.ca)

    with session.turn:
        for stream in range(4, 4 * 300, 4):
            session.talk.send_stream_data(stream, noise(f"stream {stream}", stream % 40), end_stream=stream % 8 == 0)
        session.flush()

    assert session.is_alive()
    assert memory(scene.ca) - held < 32 << 20


@pytest.mark.parametrize("size", [0, 1, 20, 1200, 1400])
def test_session_packets_that_are_noise_do_no_harm(scene: Scene, link: Link, size: int) -> None:
    header = Header(link.me, link.there, Kind.SESSION)
    sources = [
        header,
        replace(header, src=scene.member.v4),
        replace(header, src=UNSPECIFIED),
        replace(header, src="255.255.255.255"),
    ]

    for turn in range(256):
        link.sends(sources[turn % 4], bytes((turn,)) * min(size, 1) + noise(f"packet {turn}", max(size - 1, 0)))
