"""HTTP CONNECT: what is taken, and the sentence for everything else."""

import base64
from ipaddress import ip_address

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.network.httpconnect import HEADER_LIMIT, HttpConnect
from pulse.core.network.proxying import Answer, Asked, Login, ProxyRefused

LOGIN = Login(b"ann", b"se:cret")
GOOD = b"Proxy-Authorization: Basic " + base64.b64encode(b"ann:se:cret") + b"\r\n"


def connect(target: str, more: bytes = b"", version: str = "1.1") -> bytes:
    return f"CONNECT {target} HTTP/{version}\r\nHost: {target}\r\n".encode("latin-1") + more + b"\r\n"


def answer_to(sent: bytes, login: Login | None = None) -> tuple[int, str, dict[bytes, bytes]]:
    """Status, text and headers of what is said to a request, as h11 reads them."""
    http = HttpConnect(login)
    said = http.received(sent).say
    assert http.over
    assert http.asked is None
    return read(said)


def read(said: bytes) -> tuple[int, str, dict[bytes, bytes]]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.receive_data(said)
    head, body = client.next_event(), client.next_event()
    assert isinstance(head, h11.Response)
    assert isinstance(body, h11.Data)
    assert client.trailing_data[0] == b""
    return head.status_code, bytes(body.data).decode(), dict(head.headers.raw_items())


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("db.vm-01.pulse:5432", Asked("db.vm-01.pulse", 5432)),
        ("10.100.1.2:22", Asked(ip_address("10.100.1.2"), 22)),
        ("[fd7a::5]:443", Asked(ip_address("fd7a::5"), 443)),
        ("Example.com.:1", Asked("example.com", 1)),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connect_asks_for_a_host_and_a_port(target: str, asked: Asked, version: str) -> None:
    http = HttpConnect(None)
    sent = connect(target, version=version)

    assert http.received(sent + b"\x16\x03\x01 ahead") == (len(sent), b"")
    assert http.asked == asked
    granted = http.granted()
    assert granted.startswith(b"HTTP/1.1 200 Connection established\r\n")
    assert granted.index(b"\r\n\r\n") == len(granted) - 4


def test_every_byte_may_come_alone() -> None:
    http = HttpConnect(LOGIN)
    sent = connect("db.pulse:22", GOOD)
    assert [http.received(bytes((byte,))) for byte in sent] == [(1, b"")] * len(sent)

    assert http.asked == Asked("db.pulse", 22)


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PRI", "connect"])
def test_other_methods_are_answered_with_a_sentence(method: str) -> None:
    status, text, headers = answer_to(f"{method} http://db.pulse/ HTTP/1.1\r\nHost: db.pulse\r\n\r\n".encode())

    assert (status, headers[b"Allow"], headers[b"Connection"]) == (405, b"CONNECT", b"close")
    assert "curl --socks5-hostname" in text


def test_a_head_request_is_answered_without_a_body() -> None:
    http = HttpConnect(None)
    said = http.received(b"HEAD http://db.pulse/ HTTP/1.1\r\nHost: db.pulse\r\n\r\n").say

    assert said.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert said.endswith(b"\r\n\r\n")


WORDS = (
    *(b"Host: x", b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Upgrade: websocket"),
    *(b"Connection: upgrade", b"Connection: close", b"Expect: 100-continue", GOOD.strip(), b" folded", b"X: \xff"),
)


@given(
    method=st.sampled_from((b"CONNECT", b"HEAD", b"GET", b"PUT", b"OPTIONS", b"PRI")),
    target=st.sampled_from((b"db.pulse:22", b"*", b"/", b"http://x/", b"[::1]:2", b":", b"\xff:1")),
    version=st.sampled_from((b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"")),
    headers=st.lists(st.sampled_from(WORDS), max_size=4),
    login=st.sampled_from((None, LOGIN)),
    answer=st.sampled_from(Answer),
)
def test_requests_of_every_kind_have_one_answer(
    method: bytes, target: bytes, version: bytes, headers: list[bytes], login: Login | None, answer: Answer
) -> None:
    http = HttpConnect(login)
    lines = [b" ".join((method, target, version)), b"Host: x", *headers, b"", b"hello"]
    step = http.received(b"\r\n".join(lines))

    assert http.over == bool(step.say)
    if http.asked:
        assert http.refused(ProxyRefused(answer, "no")).startswith(b"HTTP/1.1 %d " % answer.status)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("db.pulse", 400),
        ("db.pulse:0", 400),
        ("db.pulse:65536", 400),
        ("db.pulse:ssh", 400),
        (":22", 400),
        ("a:b:22", 400),
        ("fd7a::5:443", 400),
        ("[10.0.0.1]:443", 400),
        ("[db.pulse]:443", 400),
        ("http://db.pulse:80", 400),
        ("user@db.pulse:22", 400),
        ("b\xfccher.example:80", 400),
        ("[fe80::1%25eth0]:80", 403),
        ("[::ffff:10.100.1.2]:80", 403),
        ("127.0.0.1:80", 403),
        ("localhost:80", 403),
        ("0x7f.1:80", 403),
        ("169.254.169.254:80", 403),
    ],
)
def test_odd_targets_are_refused(target: str, status: int) -> None:
    assert answer_to(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))[0] == status


@pytest.mark.parametrize(
    "shown",
    [
        b"",
        b"Proxy-Authorization: Basic \r\n",
        b"Proxy-Authorization: Basic !!!\r\n",
        b"Proxy-Authorization: Bearer " + base64.b64encode(b"ann:se:cret") + b"\r\n",
        b"Proxy-Authorization: Basic " + base64.b64encode(b"ann:wrong") + b"\r\n",
        GOOD + GOOD,
    ],
)
def test_without_the_login_it_is_asked_for(shown: bytes) -> None:
    status, text, headers = answer_to(connect("db.pulse:22", shown), LOGIN)

    assert (status, headers[b"Proxy-Authenticate"]) == (407, b'Basic realm="pulse", charset="UTF-8"')
    assert "[socks]" in text


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"CONNECT db.pulse:22 HTTP/1.1\r\n\r\n", 400),
        (connect("db.pulse:22", b"Content-Length: 3\r\n"), 400),
        (connect("db.pulse:22", b"Transfer-Encoding: chunked\r\n"), 400),
        (connect("db.pulse:22", b"no header\r\n"), 400),
        (b"Hello\r\n\r\n", 400),
        (b"CONNECT " + b"a" * HEADER_LIMIT + b":22 HTTP/1.1\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000, 431),
    ],
)
def test_what_is_no_request_is_answered_and_over(sent: bytes, status: int) -> None:
    assert answer_to(sent)[0] == status


@pytest.mark.parametrize(("answer", "status"), [(Answer.REFUSED, 502), (Answer.TIMED_OUT, 504), (Answer.BUSY, 503)])
def test_what_came_of_it_is_told_in_a_sentence(answer: Answer, status: int) -> None:
    http = HttpConnect(None)
    http.received(connect("db.pulse:22"))

    assert read(http.refused(ProxyRefused(answer, "nothing listens there")))[:2] == (status, "nothing listens there\n")


def test_programs_that_show_no_body_have_the_sentence_in_a_header() -> None:
    http = HttpConnect(None)
    http.received(connect("db.pulse:22"))
    _, _, headers = read(http.refused(ProxyRefused(Answer.REFUSED, 'nothing at "a\\b"\nSee: tag:x → y\x7f')))

    assert headers[b"Proxy-Status"] == (
        rb'pulse; error=connection_refused; details="nothing at \"a\\b\" See: tag:x ? y?"'
    )


@given(st.binary(min_size=1, max_size=2000), st.booleans())
def test_whatever_comes_is_answered_once_or_awaited(sent: bytes, wants_login: bool) -> None:
    http = HttpConnect(LOGIN if wants_login else None)
    step = http.received(sent)

    assert 0 <= step.used <= len(sent)
    assert http.over == bool(step.say)
