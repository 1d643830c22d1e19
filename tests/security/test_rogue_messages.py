"""What a neighbour may say wrong on the control stream: the link ends with a reason, and nothing else changes.

Invariant: each test makes a link of its own, for most of them end it.
"""

import time
from collections.abc import Iterator

import msgspec
import pytest

from pulse.core import messages
from pulse.lab.host import wait_until
from tests.e2e.exchange import noise
from tests.e2e.mesh import PATIENCE
from tests.security.link import CONTROL, Link
from tests.security.rogue import Rogue
from tests.security.scene import Scene, bad_member, memory, told_since, unharmed

LONGEST = messages.MESSAGE_LIMIT
WATCHED = 6.0
MOST_DIALS = 12
"""Links in that time: the pauses double from half a second on; without that it would be four a second."""
ESCAPE = "\x1b]0;pwned\x07\x1b[2J\u202e"
pack = msgspec.msgpack.encode


def nested(depth: int) -> bytes:
    """An array in an array in an array."""
    return bytes([0x92, 2]) + b"\x91" * depth + b"\xc0"


UNDECODABLE: dict[str, bytes] = {
    "nothing": b"",
    "one byte that is never used": b"\xc1",
    "noise": noise("message", 300),
    "a number": pack(7),
    "a map": pack({"tag": 2}),
    "an empty array": pack([]),
    "a tag that is text": pack(["2", "198.18.0.9", 1]),
    "a negative tag": pack([-1]),
    "too few fields": pack([2, "198.18.0.9"]),
    "a number for text": pack([2, 7, 7]),
    "text that is no text": b"\x93\x02\xa2\xff\xfe\x01",
    "text too long": pack([2, "1" * 65, 1]),
    "a port out of range": pack([2, "198.18.0.9", 65_536]),
    "a port below zero": pack([2, "198.18.0.9", -1]),
    "the largest number there is": pack([2, "198.18.0.9", 2**64 - 1]),
    "an array that promises four thousand million": b"\x92\x06\xdd\xff\xff\xff\xff",
    "bytes that promise four thousand million": b"\x92\x04\xc6\xff\xff\xff\xff",
    "nested a thousand deep": nested(1000),
    "nested fifty thousand deep": nested(50_000),
    "too many objects": pack([6, [[2, b"x"]] * 1025]),
    "an empty object": pack([6, [[2, b""]]]),
    "an object's kind out of range": pack([6, [[256, b"x"]]]),
    "a node record too long": pack([3, [bytes(messages.RECORD_LIMIT + 1)]]),
    "too many node records": pack([3, [b""] * 1025]),
    "ids too long": pack([4, bytes(48 * 1024 + 1)]),
    "a digest too short": pack([7, bytes(2047)]),
    "a digest too long": pack([7, bytes(2049)]),
    "a wish too long": pack([8, b"", bytes(8 * 1024 + 1)]),
    "a reason too long": pack([9, "x" * 65]),
}

FROM_LATER_RELEASES: dict[str, bytes] = {
    "a tag": pack([99, "who knows"]),
    "the highest tag": pack([2**32 - 1]),
    "a longest message": pack([99, bytes(LONGEST - 10)]),
    "fields at the end": pack([9, "going", {"later": 1}, [1, 2]]),
    "a second hello": pack(messages.Hello(1, bytes(16), 7, 0, 0.0, bytes(32))),
}

NOT_ADDRESSES = ["", "nobody.example", "999.1.1.1", "1.2.3", "::g", "198.18.0.9/24", "198.18.0.9:8443", "%eth0", "\0"]


@pytest.fixture
def link(scene: Scene) -> Iterator[Link]:
    """A new link of the rogue's, alive; all that is said on it leaves no trace at the daemons."""
    made = scene.new_link()
    assert made.is_alive()
    with unharmed(scene):
        yield made


@pytest.mark.parametrize("said", UNDECODABLE.values(), ids=UNDECODABLE)
def test_a_message_that_is_none_ends_the_link_and_the_log_says_why(scene: Scene, link: Link, said: bytes) -> None:
    told = len(scene.ca.log)

    link.says(said)

    assert link.waits_closed() == (0, "protocol")
    told_since(scene.ca, told, "WARNING neighbour broke the protocol node=")
    told_since(scene.ca, told, "reason=protocol")


@pytest.mark.parametrize("said", FROM_LATER_RELEASES.values(), ids=FROM_LATER_RELEASES)
def test_a_message_of_a_later_release_is_skipped(scene: Scene, link: Link, said: bytes) -> None:
    link.says(said, said)

    assert link.is_alive()
    assert scene.ca.status().well


@pytest.mark.parametrize("length", [LONGEST + 1, 2**24, 2**32 - 1])
def test_a_message_over_64_kib_ends_the_link_before_it_is_read(scene: Scene, link: Link, length: int) -> None:
    told, held = len(scene.ca.log), memory(scene.ca)

    link.utters(length.to_bytes(4) + noise("too long", 1000))

    assert link.waits_closed() == (0, "a message is longer than 64 KiB")
    told_since(scene.ca, told, "a message is longer than 64 KiB")
    assert memory(scene.ca) - held < 16 << 20


def test_a_message_that_never_ends_keeps_nobody_waiting(scene: Scene, link: Link) -> None:
    link.utters((1000).to_bytes(4) + b"\x93")

    assert link.is_alive()


def test_the_end_of_the_control_stream_ends_the_link(link: Link) -> None:
    with link.turn:
        link.talk.send_stream_data(CONTROL, b"", end_stream=True)
        link.flush()

    assert link.waits_closed() == (0, "the peer ended its control stream")


def test_other_streams_of_a_link_are_read_by_nobody_and_hold_little(scene: Scene, link: Link) -> None:
    held = memory(scene.ca)

    with link.turn:
        for stream in range(4, 4 * 16, 4):
            link.talk.send_stream_data(stream, noise("stream", 1 << 20))
        link.flush()

    assert link.is_alive()
    assert memory(scene.ca) - held < 16 << 20


@pytest.mark.parametrize("host", NOT_ADDRESSES, ids=repr)
def test_who_saw_us_at_no_address_is_no_neighbour(scene: Scene, link: Link, host: str) -> None:
    told = len(scene.ca.log)

    link.says(messages.Observed(host, 8443))

    assert link.waits_closed() == (0, "protocol")
    told_since(scene.ca, told, "neighbour saw us at no address")


def test_who_saw_us_at_port_zero_is_no_neighbour(link: Link) -> None:
    link.says(messages.Observed("198.18.0.1", 0))

    assert link.waits_closed() == (0, "protocol")


TEXTS = {
    "leaving": messages.Leaving(ESCAPE),
    "observed": messages.Observed(ESCAPE, 1),
    "observed with a zone": messages.Observed(f"fe80::1%{ESCAPE}", 1),
    "an object's kind": messages.Objects([messages.Item(99, ESCAPE.encode())]),
    "a wrong type": pack([ESCAPE]),
    "a wrong field": pack([2, ESCAPE * 20, 1]),
}


@pytest.mark.parametrize("said", TEXTS.values(), ids=TEXTS)
def test_no_text_a_neighbour_sends_moves_a_terminal(scene: Scene, link: Link, said: messages.Wire | bytes) -> None:
    told = len(scene.ca.log)

    link.says(said)
    link.hangs_up()

    wait_until(lambda: not is_linked(scene), "the link is gone", PATIENCE)
    assert is_plain(scene.ca.log[told:])
    assert is_plain(scene.ca.host.pulse("status").stdout)


def test_no_word_at_parting_moves_a_terminal(scene: Scene, link: Link) -> None:
    told = len(scene.ca.log)

    with link.turn:
        link.talk.close(error_code=0, reason_phrase=ESCAPE)
        link.flush()

    told_since(scene.ca, told, "pwned")
    assert is_plain(scene.ca.log[told:])
    assert is_plain(scene.ca.host.pulse("status").stdout)


def test_who_takes_every_link_and_hangs_up_is_dialled_ever_more_seldom(scene: Scene) -> None:
    """One that the CA has not met yet: of others it may have had enough."""
    ended = 0
    with Rogue(scene.pair.lab["s"], bad_member(scene.ca)) as rogue:
        rogue.welcomes()
        rogue.dials(scene.ca)
        end = time.monotonic() + WATCHED
        while time.monotonic() < end:
            time.sleep(0.02)
            for link in [link for link in rogue.links if link.is_up]:
                link.hangs_up()
                ended += 1

    assert 1 < ended <= MOST_DIALS


def is_linked(scene: Scene) -> bool:
    """True while the CA has a link with the rogue."""
    return any(peer.v4 == scene.rogue.handle and peer.link != "-" for peer in scene.ca.status().peers)


def is_plain(text: str) -> bool:
    """True if nothing in it does more to a terminal than to write or to begin a line."""
    return all(char == "\n" or char.isprintable() for char in text)
