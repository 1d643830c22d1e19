"""A member that shows something else on the session lane than on its link gets no session, nor does anybody get one.

Its link was made with a good certificate, so its frames pass; session packets ride in them and are judged for
themselves. No certificate at all, or one for clients only, cannot be shown there from outside: the data plane bears no
such thing, and no other stack speaks inside our frames.
"""

from collections.abc import Callable

import pytest

from pulse.core.messages import decode_answer, encode_call
from pulse.errors import LinkError
from pulse.lab.host import wait_until
from tests.e2e import forgery
from tests.e2e.forgery import Wanted
from tests.e2e.mesh import PATIENCE
from tests.e2e.rogue import MESH_V4, Scene

CALL = encode_call("ping", b"hear me")
IN_VAIN = 1.0
"""Seconds to wait for an answer that must not come; good ones take milliseconds."""

FORGED: list[tuple[Callable[[Wanted], Wanted], str]] = [
    (forgery.self_signed, "not signed by a trusted CA"),
    (forgery.foreign, "not signed by a trusted CA"),
    (forgery.expired, "its certificate has expired"),
    (forgery.not_yet_valid, "its certificate is not yet valid"),
    (forgery.of_another_network, "it belongs to another network"),
]


def forged_ids(value: object) -> str:
    """A parameter's name in the test's id; reasons go without."""
    return getattr(value, "__name__", "")


def test_the_certificate_of_its_link_gets_a_session(scene: Scene) -> None:
    answer = scene.asks(CALL, PATIENCE)

    assert answer is not None
    assert decode_answer(answer) == b"hear me"
    scene.ends_session()


@pytest.mark.parametrize(("forge", "reason"), FORGED, ids=forged_ids)
def test_a_forged_certificate_gets_no_session(scene: Scene, forge: Callable[[Wanted], Wanted], reason: str) -> None:
    told = len(scene.ca.log)
    scene.rogue.forgets()
    scene.rogue.shows(forge(scene.good))

    answer = scene.asks(CALL, IN_VAIN)

    assert answer is None
    wait_until(lambda: f"failed: {reason}" in scene.ca.log[told:], f"the CA says: {reason}", PATIENCE)
    assert scene.ca.tries("ping", MESH_V4, "--count", "1").code == LinkError.exit_code
    assert [event for event in scene.rogue.listens(0) if event[0] in {"SessionUp", "Request", "LinkDown"}] == []


def test_the_good_certificate_opens_that_door_again(scene: Scene) -> None:
    scene.rogue.shows(scene.good)
    scene.ends_session()

    assert scene.asks(CALL, PATIENCE) is not None
