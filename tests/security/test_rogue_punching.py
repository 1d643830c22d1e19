"""Punching by those who mean ill: strangers' probes, and a member who names places of others to be probed.

What is counted is counted on the wire, at whom it would hit.
"""

import secrets
import time
from collections.abc import Iterator
from typing import Final

import pytest

from pulse.core import messages
from pulse.core.messages import MethodName, Punch
from pulse.core.paths.holepunch import GIVE_UP, SCHEDULE
from pulse.core.paths.traversal import ASKED_BURST, HOST_BURST, HOST_RATE
from pulse.lab.capture import tapped
from pulse.lab.host import wait_until
from tests.e2e.exchange import noise
from tests.e2e.mesh import PATIENCE, Node
from tests.e2e.mesh import PORT as NODE_PORT
from tests.e2e.wire import FRAME, Datagram, inject, throw
from tests.security.packets import Ends, echo
from tests.security.scene import Scene, drops, settle, unharmed
from tests.security.session import Session
from tests.security.voice import Voice

PUNCH: Final = 0x22
LENGTH: Final = 48
PORT: Final = 40_000

HINTS: Final = 10
"""Link probes that a place may get which somebody seems to have sent from."""


@pytest.fixture
def session(scene: Scene) -> Iterator[Session]:
    """The rogue's session with the member, which it has no link with."""
    Voice(scene.rogue.shows).says(scene.link, scene.link.there)
    wait_until(lambda: knows(scene.member, scene.rogue.handle), "the member knows the rogue", PATIENCE)
    settle(scene.ca, scene.member)
    with unharmed(scene):
        made = Session([scene.link], to=scene.certificate(scene.member))
        made.waits_up()
        yield made
        assert scene.link.is_alive()


def knows(node: Node, handle: str) -> bool:
    """True if the node has a path to that handle."""
    return any(peer.v4 == handle and peer.link != "-" for peer in node.status().peers)


def asked(session: Session, *places: str) -> messages.Result | messages.Failure:
    """The rogue wants to punch, and says that it is at these places."""
    return session.asks(MethodName.PUNCH, messages.pack(Punch(secrets.token_bytes(16), [*places])))


def test_probes_of_no_attempt_are_neither_answered_nor_noted(scene: Scene) -> None:
    probes = [bytes([PUNCH]) + noise(str(number), LENGTH - 1) for number in range(20)]
    with unharmed(scene), tapped(scene.rogue.host) as tap, drops(scene.ca, stray_probe=23):
        throw(scene.rogue.host, str(scene.ca.host.v4.ip), *probes, bytes([PUNCH]), probes[0][:-1], probes[0] + b"\0")
        time.sleep(0.2)

        assert [each.target for each in tap.rest() if each.first == PUNCH and each.source[1] == NODE_PORT] == []


def test_places_where_nobody_may_be_dialled_are_not_probed(scene: Scene, session: Session) -> None:
    victim = scene.pair.lab["s"]
    nowhere = ["127.0.0.1:1", "224.0.0.1:1", "255.255.255.255:1", "0.0.0.0:1", f"{scene.ca.v4}:1", "[ff02::1]:1"]
    with tapped(scene.member.host) as tap:
        answer = asked(session, *nowhere, f"{victim.v4.ip}:{PORT}")
        assert isinstance(answer, messages.Result)
        time.sleep(SCHEDULE[-1] + 0.5)
        probed = [each.target for each in tap.rest() if each.first == PUNCH]

    assert set(probed) == {(str(victim.v4.ip), PORT)}
    assert len(probed) <= len(SCHEDULE)


def test_a_member_cannot_make_others_flood_a_third_party(scene: Scene, session: Session) -> None:
    victim = scene.pair.lab["s"]
    places = [f"{victim.v4.ip}:{PORT + port}" for port in range(8)]
    with tapped(victim) as tap:
        began = time.monotonic()
        answers = [asked(session, *places) for _ in range(3 * ASKED_BURST)]
        time.sleep(1.0)
        lasted = time.monotonic() - began
        hit = [each for each in tap.rest() if each.first == PUNCH]

    agreed = [each for each in answers if isinstance(each, messages.Result)]
    assert len(agreed) <= ASKED_BURST + lasted
    assert "Refused" in {each.error for each in answers if isinstance(each, messages.Failure)}
    assert 0 < len(hit) <= HOST_BURST + HOST_RATE * lasted
    assert len(hit) * LENGTH < len(answers) * GIVE_UP * LENGTH * HOST_RATE


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x92\xc4\x10", noise("punch", 300), bytes(60_000)], ids=len)
def test_nonsense_is_turned_down(session: Session, body: bytes) -> None:
    answer = session.asks(MethodName.PUNCH, body)

    assert isinstance(answer, messages.Failure)
    assert answer.error == "Refused"


def test_a_frame_that_seems_to_come_from_a_third_party_moves_nothing_there(scene: Scene) -> None:
    session = Session([scene.link])
    session.waits_up()
    victim, ca = scene.pair.lab["s"], scene.ca.host
    frames = [session.frames(echo(Ends(scene.link.me, session.header.dst), bytes(64))) for _ in range(50)]
    with tapped(victim) as tap:
        inject(
            scene.rogue.host,
            *(Datagram((str(victim.v4.ip), PORT), (str(ca.v4.ip), NODE_PORT), frame) for frame in frames),
        )
        assert session.is_alive()
        time.sleep(1.0)
        hit = [each for each in tap.rest() if each.source == (str(ca.v4.ip), NODE_PORT)]

    # It is asked whether it is there, and nothing of what answers the frames is sent to it.
    assert all(each.first == FRAME for each in hit)
    assert len(hit) <= HINTS
