"""Invites: whole they say all, cut short or mistyped they say which."""

import base64
import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.invites import Invite, decode_invite, encode_invite
from pulse.core.trust.tokens import Token
from pulse.core.types import Network
from pulse.errors import Refused
from tests.authority import secret

INVITE = Invite(("relay.example.com:443", "[2001:db8::1]:443"), Network("mynet", "ab" * 32), secret("a"))
TEXT = encode_invite(INVITE)


def coded(body: object, version: int = 1) -> str:
    raw = msgspec.msgpack.encode(body)
    data = bytes([version]) + len(raw).to_bytes(2) + raw
    return "pls_" + base64.urlsafe_b64encode(data + hashlib.sha256(data).digest()[:4]).rstrip(b"=").decode()


HOSTS = st.from_regex(r"[a-z0-9.-]{1,40}|\[2001:db8::[0-9a-f]{1,4}\]", fullmatch=True)
ADDRESSES = st.builds("{}:{}".format, HOSTS, st.integers(1, 65535))


@given(st.lists(ADDRESSES, min_size=1, max_size=8), st.binary(min_size=32, max_size=32))
def test_an_invite_comes_back_as_it_was_made(addresses: list[str], ca: bytes) -> None:
    invite = Invite(tuple(addresses), Network("mynet", ca.hex()), secret("a"))
    assert decode_invite(encode_invite(invite)) == invite


def test_an_invite_pins_its_ca() -> None:
    assert INVITE.token == Token(secret("a"), "ab" * 32)


def test_an_invite_may_come_with_a_mails_line_breaks() -> None:
    assert decode_invite(f" {TEXT[:40]}\r\n {TEXT[40:]}\n") == INVITE


@pytest.mark.parametrize(
    "terms",
    [" good for 1 hour and one machine", "\ngood for 7 days and 3 machines", "  good until it is revoked and …\n"],
)
def test_an_invite_may_come_with_what_it_is_good_for(terms: str) -> None:
    assert decode_invite(TEXT + terms) == INVITE


def test_other_words_behind_an_invite_are_not_passed_over() -> None:
    with pytest.raises(Refused, match="mistyped"):
        decode_invite(f"{TEXT} and good luck")


def test_eight_addresses_travel() -> None:
    many = Invite(tuple(f"h{number}:1" for number in range(20)), INVITE.network, INVITE.secret)
    assert decode_invite(encode_invite(many)).addresses == many.addresses[:8]


@pytest.mark.parametrize("length", range(4, len(TEXT)))
def test_an_invite_cut_anywhere_says_so(length: int) -> None:
    with pytest.raises(Refused, match="cut short"):
        decode_invite(TEXT[:length])


@given(st.integers(16, len(TEXT) - 2), st.sampled_from("Aa0_"))
def test_an_invite_with_a_wrong_character_says_so(position: int, char: str) -> None:
    changed = TEXT[:position] + char + TEXT[position + 1 :]
    if changed == TEXT:
        return
    with pytest.raises(Refused, match="mistyped"):
        decode_invite(changed)


@given(st.text(max_size=200))
def test_any_text_is_an_invite_or_refused(text: str) -> None:
    for each in (text, "pls_" + text):
        with pytest.raises(Refused):
            decode_invite(each)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hello", "begin with pls_"),
        ("pls_" + "A" * 9000, "too long"),
        (TEXT[:-3] + "!" + TEXT[-2:], "no invite has"),
        (coded([["a:1"], "mynet", b"\xab" * 32, secret("a")], version=2), "newer pulse"),
        (coded([[], "mynet", b"\xab" * 32, secret("a")]), "damaged"),
        (coded([["a:1"], "mynet", b"\xab" * 31, secret("a")]), "damaged"),
        (coded([["a:1"], "My Net", b"\xab" * 32, secret("a")]), "no valid network"),
        (coded([["a:1"], "mynet", b"\xab" * 32, "weak"]), "too short to be safe"),
        (coded([["a"], "mynet", b"\xab" * 32, secret("a")]), "Write host:port"),
        (coded([["a:1", ":1"], "mynet", b"\xab" * 32, secret("a")]), "names no host"),
    ],
)
def test_a_bad_invite_is_refused_by_what_is_wrong_with_it(text: str, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        decode_invite(text)
