"""SOCKS5, byte by byte: what is answered, what is asked for, and what is left for the far side."""

from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulse.core.network.proxying import Answer, Asked, Login, ProxyRefused
from pulse.core.network.socks import Socks

OPEN = bytes.fromhex("050100")
LOGIN = Login(b"ann", b"secret")
NOWHERE = bytes.fromhex("0001000000000000")


def refusal(code: int) -> bytes:
    return bytes((5, code)) + NOWHERE


def to(kind: int, address: bytes, port: int = 443, command: int = 1) -> bytes:
    return bytes((5, command, 0, kind)) + address + port.to_bytes(2, "big")


def name(text: bytes) -> bytes:
    return bytes((len(text),)) + text


def shown(user: bytes, password: bytes) -> bytes:
    return b"\x01" + name(user) + name(password)


def said(socks: Socks, *messages: bytes) -> bytes:
    """All it answers to these."""
    return b"".join(socks.received(each).say for each in messages)


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        (to(1, bytes((10, 100, 1, 2)), 22), Asked(ip_address("10.100.1.2"), 22)),
        (to(4, ip_address("fd7a::5").packed, 80), Asked(ip_address("fd7a::5"), 80)),
        (to(3, name(b"db.VM-01.pulse"), 5432), Asked("db.vm-01.pulse", 5432)),
        (to(3, name(b"10.100.1.2"), 65535), Asked(ip_address("10.100.1.2"), 65535)),
        (to(3, name(b"fd7a::5")), Asked(ip_address("fd7a::5"), 443)),
    ],
)
def test_a_client_asks_for_an_address_of_three_types(request_: bytes, asked: Asked) -> None:
    socks = Socks(None)

    assert said(socks, OPEN, request_) == bytes.fromhex("0500")
    assert socks.asked == asked
    assert not socks.over
    assert socks.granted() == bytes.fromhex("0500") + NOWHERE


def test_every_byte_may_come_alone_and_what_follows_is_left() -> None:
    sent = bytes.fromhex("05020002") + shown(b"ann", b"secret") + to(3, name(b"db.pulse"), 22)
    socks, answers = Socks(LOGIN), b""
    for byte in sent:
        step = socks.received(bytes((byte,)))
        assert step.used == 1
        answers += step.say

    assert answers == bytes.fromhex("05020100")
    assert socks.asked == Asked("db.pulse", 22)

    at_once = Socks(LOGIN)
    assert at_once.received(sent + b"SSH-2.0-x\r\n") == (len(sent), bytes.fromhex("05020100"))
    assert at_once.asked == socks.asked


@pytest.mark.parametrize(("login", "methods"), [(None, "050102"), (None, "0500"), (LOGIN, "050100"), (LOGIN, "050101")])
def test_without_a_method_in_common_it_is_over(login: Login | None, methods: str) -> None:
    socks = Socks(login)

    assert socks.received(bytes.fromhex(methods)).say == bytes.fromhex("05ff")
    assert socks.over


@pytest.mark.parametrize(
    "message", [shown(b"ann", b"wrong"), shown(b"", b""), shown(b"x" * 255, b"y" * 255), b"\x02", b"\x05\x01\x00"]
)
def test_a_wrong_login_ends_it(message: bytes) -> None:
    socks = Socks(LOGIN)

    assert said(socks, bytes.fromhex("050102"), message) == bytes.fromhex("05020101")
    assert socks.over
    assert socks.asked is None


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (to(1, bytes((10, 100, 1, 2)), command=2), 7),
        (to(1, bytes(4), 0, command=3), 7),
        (to(3, name(b"db.pulse"), command=0x7F), 7),
        (to(2, b"abcd"), 8),
        (to(0, b"abcd"), 8),
        (b"\x04" + to(1, bytes((10, 100, 1, 2)))[1:], 1),
        (b"\x05\x01\x01" + to(1, bytes((10, 100, 1, 2)))[3:], 1),
        (to(1, bytes((10, 100, 1, 2)), 0), 1),
        (to(3, name(b"")), 1),
        (to(3, name(b"a\0b.pulse")), 1),
        (to(3, name("bücher.example".encode())), 1),
        (to(3, name(b"x" * 255)), 1),
        (to(3, name(b"fe80::1%eth0")), 2),
        (to(3, name(b"localhost.")), 2),
        (to(3, name(b"2130706433")), 2),
        (to(3, name(b"0x7f.1")), 2),
        (to(1, bytes(4)), 2),
        (to(1, bytes((127, 0, 0, 1))), 2),
        (to(1, bytes((169, 254, 169, 254))), 2),
        (to(4, ip_address("::1").packed), 2),
        (to(4, bytes(16)), 2),
        (to(4, ip_address("::ffff:10.100.1.2").packed), 2),
        (to(4, ip_address("fe80::1").packed), 2),
    ],
)
def test_what_is_refused_has_its_code(request_: bytes, code: int) -> None:
    socks = Socks(None)

    assert said(socks, OPEN, request_) == bytes.fromhex("0500") + refusal(code)
    assert socks.over
    assert socks.asked is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Answer.REFUSED, 5), (Answer.TIMED_OUT, 4), (Answer.NETWORK_UNREACHABLE, 3), (Answer.BUSY, 1)],
)
def test_what_came_of_it_is_told_by_code(answer: Answer, code: int) -> None:
    socks = Socks(None)
    said(socks, OPEN, to(3, name(b"db.pulse")))

    assert socks.refused(ProxyRefused(answer, "no")) == refusal(code)
    assert socks.over


@example([b"\x05\x01\x00", b"\x00\x00", b"\x00\x00\x00"], False)
@given(st.lists(st.binary(min_size=1, max_size=600), max_size=6), st.booleans())
def test_whatever_comes_it_answers_little_and_holds_little(messages: list[bytes], wants_login: bool) -> None:
    socks = Socks(LOGIN if wants_login else None)
    for message in messages:
        if socks.over or socks.asked:
            return
        step = socks.received(message)
        assert 0 <= step.used <= len(message)
        assert len(step.say) <= 16
        assert socks.over or socks.asked or len(socks._buffer) <= 513


@given(st.data())
def test_how_bytes_are_cut_changes_nothing(data: st.DataObject) -> None:
    sent = OPEN + to(3, name(b"db.pulse"), 22) + b"ahead"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1))))
    socks, used, answers = Socks(None), 0, b""
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        if socks.asked:
            break
        step = socks.received(sent[start:end])
        used, answers = used + step.used, answers + step.say

    assert (used, answers, socks.asked) == (len(sent) - 5, bytes.fromhex("0500"), Asked("db.pulse", 22))
