"""What the data plane refuses, as people read it."""

import errno

import pytest

from pulse.errors import ProtocolError
from pulse.net.dataplanewords import sentence, tun_refusal, understood


def test_a_known_refusal_has_its_sentence_and_another_one_its_own_words() -> None:
    assert sentence("timeout", "silent for 3.5 s") == "no answer"
    assert sentence("refused", "x\x1b[2J") == "x\ufffd[2J"
    assert sentence("refused", "") == "refused"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "lacks CAP_NET_ADMIN"),
        (errno.ENOENT, "modprobe tun"),
        (errno.EBUSY, "another program uses it"),
        (errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_device_that_cannot_be_made_says_why(number: int, words: str) -> None:
    said = tun_refusal("pulse0", OSError(number, "No space left on device"))
    assert said.startswith("cannot create pulse0: ")
    assert words in said


def test_what_is_not_understood_is_named() -> None:
    with pytest.raises(ProtocolError, match="cannot read these tables: 'x\ufffd'"), understood("these tables"):
        raise ValueError("'x\x1b'")
