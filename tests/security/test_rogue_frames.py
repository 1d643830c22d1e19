"""Frames that are copied, late, cut or false: each is dropped for its own reason, and a flow beside it never notices.

They are made with the true key of a true link: a neighbour could send every one of them.
"""

from collections import Counter
from dataclasses import replace

import pytest

from tests.e2e.exchange import noise
from tests.e2e.mesh import PORT
from tests.security.frames import CLEAR, OVERHEAD, Clear, Kind, flips
from tests.security.link import PROBE, Link
from tests.security.rogue import Rogue
from tests.security.scene import Scene, bad_member, drops, unharmed

WINDOW = 65_536
"""Counters a node can tell apart."""

INDEX = range(4, 8)
"""Where a frame says whose it is."""


def probe(link: Link, counter: int | None = None) -> tuple[int, bytes]:
    """A link probe: its number and its frame."""
    number, header, body = link.probe()
    return number, link.seals(header, body, counter=counter)


def test_a_link_made_by_heart_is_a_link(scene: Scene) -> None:
    """Else no refusal here would mean a thing: the keys are right, and probes are echoed."""
    assert scene.link.is_alive()
    assert scene.rogue.handle in {peer.v4 for peer in scene.ca.status().peers if peer.link != "-"}


def test_a_link_that_the_daemon_dials_is_a_link(scene: Scene) -> None:
    with Rogue(scene.pair.lab["s"], bad_member(scene.ca)) as other:
        other.welcomes()
        other.dials(scene.ca).hangs_up()

        assert other.link_with(scene.link.peer_id).is_alive()


def test_a_frame_that_comes_again_is_dropped(scene: Scene) -> None:
    number, frame = probe(scene.link)

    with unharmed(scene), drops(scene.ca, replayed=9):
        scene.link.throws(*[frame] * 10)

    assert scene.link.echoes(number) == 1


def test_frames_out_of_order_count_once_each(scene: Scene) -> None:
    probes = [probe(scene.link) for _ in range(50)]

    with unharmed(scene), drops(scene.ca, replayed=50):
        scene.link.throws(*(frame for _, frame in probes[::-1]))
        scene.link.waits(lambda: all(scene.link.echoes(number) for number, _ in probes), "all are echoed")
        scene.link.throws(*(frame for _, frame in probes[::2] + probes[1::2]))

    assert [scene.link.echoes(number) for number, _ in probes] == [1] * 50


def test_a_frame_older_than_the_window_is_dropped_and_one_just_inside_is_not(scene: Scene) -> None:
    first = scene.link.takes_counters(WINDOW + 1)
    # The link's own probes move the window on meanwhile.
    late, just_in, newest = (probe(scene.link, first + after) for after in (0, 1000, WINDOW))

    with unharmed(scene), drops(scene.ca, replayed=1):
        scene.link.throws(newest[1])
        scene.link.waits(lambda: scene.link.echoes(newest[0]), "the newest is echoed")
        scene.link.throws(late[1], just_in[1])
        scene.link.waits(lambda: scene.link.echoes(just_in[0]), "the one inside is echoed")

    assert scene.link.echoes(late[0]) == 0


def test_each_bit_of_a_frame_is_guarded(scene: Scene) -> None:
    number, frame = probe(scene.link)
    reasons = Counter(reason_for(place, changed[0]) for place, changed in flips(frame))
    assert reasons.pop("quic") == 2

    with unharmed(scene), drops(scene.ca, **reasons):
        scene.link.throws(*(changed for _, changed in flips(frame)))

    assert scene.link.echoes(number) == 0


def reason_for(place: int, first: int) -> str:
    """Why a frame with a bit changed at that place is dropped; noise that looks like QUIC counts as nothing."""
    if place == 0 and first >= 0x40:
        return "quic"
    if place in INDEX or first == 0x23:
        return "unknown_index"
    return "bad_seal" if place else "unknown_kind"


def test_a_frame_cut_short_is_dropped(scene: Scene) -> None:
    _, frame = probe(scene.link)

    with unharmed(scene), drops(scene.ca, truncated=OVERHEAD - 1):
        scene.link.throws(*(frame[:size] for size in range(1, OVERHEAD)))


def test_a_frame_of_a_kind_nobody_knows_is_dropped(scene: Scene) -> None:
    _, header, body = scene.link.probe()
    unknown = [replace(header, kind=kind) for kind in range(len(Kind), 256)]

    with unharmed(scene), drops(scene.ca, unknown_kind=len(unknown)):
        scene.link.throws(*(scene.link.seals(each, body) for each in unknown))


def test_a_probe_whose_body_is_not_sealed_is_dropped_and_so_is_a_session_packet_whose_body_is(scene: Scene) -> None:
    number, header, body = scene.link.probe()
    session = replace(header, kind=Kind.SESSION)

    with unharmed(scene), drops(scene.ca, bad_seal=2):
        scene.link.throws(scene.link.seals(header, body, clear=0))
        scene.link.throws(scene.link.seals(session, body, clear=Clear.BODY_SEALED))

    assert scene.link.echoes(number) == 0


def test_a_probe_without_a_body_is_dropped(scene: Scene) -> None:
    _, header, body = scene.link.probe()

    with unharmed(scene), drops(scene.ca, truncated=PROBE.size):
        scene.link.throws(*(scene.link.seals(header, body[:size]) for size in range(PROBE.size)))


def test_the_seal_of_one_frame_does_not_fit_the_start_or_the_body_of_another(scene: Scene) -> None:
    (_, one), (_, other) = probe(scene.link), probe(scene.link)
    spliced = [one[:CLEAR] + other[CLEAR:], one[:OVERHEAD] + other[OVERHEAD:], other[:CLEAR] + one[CLEAR:]]

    with unharmed(scene), drops(scene.ca, bad_seal=3):
        scene.link.throws(*spliced)


def test_a_frame_sent_back_to_who_sealed_it_is_dropped(scene: Scene) -> None:
    """Each direction has a key of its own, so what a node said cannot be said to it."""
    assert scene.link.theirs is not None
    heard: list[bytes] = []
    taken = scene.link.raw_taker
    scene.link.raw_taker = heard.append
    scene.link.waits(lambda: heard, "the daemon sends a probe")
    scene.link.raw_taker = taken
    reflected = [each[:4] + scene.link.theirs.index.to_bytes(4) + each[8:] for each in heard[:1]]

    with unharmed(scene), drops(scene.ca, bad_seal=1):
        scene.link.throws(*reflected)


@pytest.mark.parametrize(
    ("size", "reason"),
    [(49, "bad_seal"), (1200, "bad_seal"), (1500, "bad_seal"), (9000, "too_big"), (65_507, "too_big")],
)
def test_noise_under_a_true_index_is_dropped(scene: Scene, size: int, reason: str) -> None:
    assert scene.link.theirs is not None
    start = bytes((0x21, 0, 0, 0)) + scene.link.theirs.index.to_bytes(4)

    with unharmed(scene), drops(scene.ca, **{reason: 20}):
        scene.link.throws(*(start + noise(f"frame {turn}", size - 8) for turn in range(20)))


def test_frames_from_another_address_move_no_link_that_does_not_echo_from_there(scene: Scene) -> None:
    """An authentic frame from elsewhere is a hint only: whoever relays our frames could else pull a link away."""
    before = [peer.address for peer in scene.ca.status().peers if peer.v4 == scene.rogue.handle]
    frames = [probe(scene.link)[1] for _ in range(20)]

    with unharmed(scene), drops(scene.ca):
        with scene.rogue.elsewhere() as sending:
            for frame in frames:
                sending.sendto(frame, (str(scene.ca.host.v4.ip), PORT))
        assert scene.link.is_alive()

    assert [peer.address for peer in scene.ca.status().peers if peer.v4 == scene.rogue.handle] == before
