"""The first byte says which protocol a client of the proxy speaks."""

import pytest

from pulse.core.network.handshake import begun, last_words
from pulse.core.network.httpconnect import HttpConnect
from pulse.core.network.socks import Socks


def test_socks_begins_with_five_and_http_with_a_letter() -> None:
    assert isinstance(begun(5, None), Socks)
    assert all(isinstance(begun(ord(letter), None), HttpConnect) for letter in "CGPz")


@pytest.mark.parametrize("first", [0, 1, 4, 0x16, 0x20, 0x80, 0xC3, 0xFF])
def test_nobody_speaks_anything_else(first: int) -> None:
    assert begun(first, None) is None


def test_who_speaks_socks4_hears_a_no_and_others_nothing() -> None:
    assert last_words(4) == bytes.fromhex("005b000000000000")
    assert last_words(0x16) == b""
