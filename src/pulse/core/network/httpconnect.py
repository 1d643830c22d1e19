"""HTTP CONNECT as a client speaks it (RFC 9110, 9.3.6), and a sentence for every other request.

Invariant: a request longer than `HEADER_LIMIT`, or one that h11 does not take, is answered and over; no byte after the
request's end is taken.
"""

import base64
import binascii
import re
from http import HTTPStatus
from typing import Final

import h11

from pulse.core.network.hosttext import read_host
from pulse.core.network.proxying import Answer, Asked, Login, ProxyRefused, Step
from pulse.errors import ProtocolError, Refused

HEADER_LIMIT: Final = 8192

_TARGET = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:\[\]]*)):(?P<port>[0-9]{1,5})")


class HttpConnect:
    """One client that speaks HTTP/1.1, or 1.0."""

    def __init__(self, login: Login | None) -> None:
        self.asked: Asked | None = None
        self.over = False
        self._login = login
        self._is_head = False
        """What was asked is answered without a body."""
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_LIMIT)

    def received(self, data: bytes) -> Step:
        """It sent bytes."""
        self._http.receive_data(data)
        try:
            event = self._http.next_event()
            if not isinstance(event, h11.Request):
                return Step(len(data))
            self.asked = self._judged(event)
        except h11.RemoteProtocolError as error:
            too_long = error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            answer = Answer.TOO_LONG if too_long else Answer.MALFORMED
            return Step(len(data), self.refused(ProxyRefused(answer, f"this is no request of HTTP: {error}")))
        except ProxyRefused as why:
            return Step(len(data), self.refused(why))
        ahead, _ = self._http.trailing_data
        return Step(len(data) - len(ahead))

    def granted(self) -> bytes:
        """Words for: the far side connected."""
        return self._http.send(h11.Response(status_code=200, headers=[], reason=b"Connection established")) or b""

    def refused(self, why: ProxyRefused) -> bytes:
        """Words for: it did not, and why."""
        self.over = True
        body = f"{why}\n".encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", f"{len(body)}"),
            # Of a refused CONNECT programs show headers, and no body (curl -v).
            ("Proxy-Status", f"pulse; error={why.answer.error}; details={_quoted(str(why))}"),
        ]
        match why.answer:
            case Answer.LOGIN:
                headers.append(("Proxy-Authenticate", 'Basic realm="pulse", charset="UTF-8"'))
            case Answer.NO_COMMAND:
                headers.append(("Allow", "CONNECT"))
        status = HTTPStatus(why.answer.status)
        answer = h11.Response(
            status_code=status, headers=[*headers, ("Connection", "close")], reason=status.phrase.encode()
        )
        events = [answer, h11.EndOfMessage()] if self._is_head else [answer, h11.Data(body), h11.EndOfMessage()]
        return b"".join(self._http.send(event) or b"" for event in events)

    def _judged(self, request: h11.Request) -> Asked:
        """Where the request wants to go; raises ProxyRefused."""
        self._is_head = request.method == b"HEAD"
        if request.method != b"CONNECT":
            raise ProxyRefused(
                Answer.NO_COMMAND,
                "this proxy passes on connections and reads no web pages. Use it with CONNECT (curl --proxytunnel), "
                "or as a SOCKS5 proxy (curl --socks5-hostname)",
            )
        if self._login and not self._login.fits(*_shown(request)):
            raise ProxyRefused(Answer.LOGIN, "this proxy wants the user and password of [socks] in the node's settings")
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in request.headers):
            raise ProxyRefused(Answer.MALFORMED, "a request to CONNECT has no body")
        return _target(request.target)


def _quoted(text: str) -> str:
    """A string in a structured header (RFC 9651, 3.3.3): one line of ASCII."""
    line = " ".join(text.encode("ascii", "replace").decode().split())
    plain = "".join(each if each.isprintable() else "?" for each in line)
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _shown(request: h11.Request) -> tuple[bytes, bytes]:
    """User and password that a request shows; empty if there are none, or several."""
    shown = [value for name, value in request.headers if name == b"proxy-authorization"]
    scheme, _, coded = (shown[0] if len(shown) == 1 else b"").partition(b" ")
    try:
        user, _, password = base64.b64decode(coded.strip(), validate=True).partition(b":")
    except binascii.Error:
        return b"", b""
    return (user, password) if scheme.lower() == b"basic" else (b"", b"")


def _target(target: bytes) -> Asked:
    found = _TARGET.fullmatch(target.decode("latin-1"))
    port = int(found["port"]) if found else 0
    if found is None or not 0 < port < 65536:
        raise ProxyRefused(Answer.MALFORMED, "CONNECT wants host:port, or [ipv6]:port")
    try:
        if found["v6"] is not None and ":" not in found["v6"]:
            raise ProtocolError("in brackets there is an IPv6 address")
        return Asked(read_host(found["name"] if found["v6"] is None else found["v6"]), port)
    except Refused as error:
        raise ProxyRefused(Answer.NOT_ALLOWED, str(error)) from error
    except ProtocolError as error:
        raise ProxyRefused(Answer.MALFORMED, str(error)) from error
