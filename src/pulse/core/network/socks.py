"""SOCKS5 as a client speaks it: RFC 1928 with the command CONNECT, and RFC 1929 where a login is asked for.

Invariant: it holds no more than one message, at most 513 bytes, and takes no byte that is for the far side.
"""

from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from pulse.core.network.hosttext import Host, check_address, read_host
from pulse.core.network.proxying import Answer, Asked, Login, ProxyRefused, Step
from pulse.errors import ProtocolError, Refused

VERSION: Final = 5

_OPEN: Final = 0
_PASSWORD: Final = 2
_NO_METHOD: Final = 0xFF
_PASSWORD_VERSION: Final = 1

_CONNECT: Final = 1

_V4: Final = 1
_NAME: Final = 3
_V6: Final = 4

_SIZES: Final = {_V4: 4, _V6: 16}

_NOWHERE: Final = bytes((0, _V4, 0, 0, 0, 0, 0, 0))
"""Which of its addresses the far side connected from is of no use to anybody here."""


class Phase(Enum):
    """What is awaited of the client."""

    METHODS = "methods"
    LOGIN = "login"
    REQUEST = "request"
    ASKED = "asked"
    OVER = "over"


class Socks:
    """One client that speaks SOCKS5."""

    def __init__(self, login: Login | None) -> None:
        self.asked: Asked | None = None
        self._login = login
        self._phase = Phase.METHODS
        self._buffer = bytearray()
        self._readers: dict[Phase, Callable[[], bytes | None]] = {
            Phase.METHODS: self._read_methods,
            Phase.LOGIN: self._read_login,
            Phase.REQUEST: self._read_request,
        }

    @property
    def over(self) -> bool:
        """It was refused."""
        return self._phase is Phase.OVER

    def received(self, data: bytes) -> Step:
        """It sent bytes."""
        self._buffer += data
        said = b""
        while self._phase in self._readers:
            answer = self._readers[self._phase]()
            if answer is None:
                return Step(len(data), said)
            said += answer
        if self.over:
            # What came before these bytes is in it, too, if the refused message came in pieces.
            self._buffer.clear()
        return Step(len(data) - len(self._buffer), said)

    def granted(self) -> bytes:
        """Words for: the far side connected."""
        return bytes((VERSION, 0)) + _NOWHERE

    def refused(self, why: ProxyRefused) -> bytes:
        """Words for: it did not."""
        self._phase = Phase.OVER
        return bytes((VERSION, why.answer.code)) + _NOWHERE

    def _read_methods(self) -> bytes | None:
        if len(self._buffer) < 2 or len(self._buffer) < 2 + self._buffer[1]:
            return None
        methods = self._take(2 + self._buffer[1])[2:]
        wanted = _PASSWORD if self._login else _OPEN
        if wanted not in methods:
            self._phase = Phase.OVER
            return bytes((VERSION, _NO_METHOD))
        self._phase = Phase.LOGIN if self._login else Phase.REQUEST
        return bytes((VERSION, wanted))

    def _read_login(self) -> bytes | None:
        if self._buffer and self._buffer[0] != _PASSWORD_VERSION:
            return self._login_judged(good=False)
        if len(self._buffer) < 2:
            return None
        user_end = 2 + self._buffer[1]
        if len(self._buffer) <= user_end or len(self._buffer) < user_end + 1 + self._buffer[user_end]:
            return None
        message = self._take(user_end + 1 + self._buffer[user_end])
        user, password = message[2:user_end], message[user_end + 1 :]
        return self._login_judged(good=self._login is not None and self._login.fits(user, password))

    def _login_judged(self, *, good: bool) -> bytes:
        self._phase = Phase.REQUEST if good else Phase.OVER
        return bytes((_PASSWORD_VERSION, 0 if good else 1))

    def _read_request(self) -> bytes | None:
        if len(self._buffer) < 5:
            return None
        version, command, reserved, kind, first = self._buffer[:5]
        if version != VERSION or reserved:
            return self.refused(ProxyRefused(Answer.MALFORMED, "this is no request of SOCKS5 (RFC 1928)"))
        if kind not in (_V4, _NAME, _V6):
            return self.refused(ProxyRefused(Answer.NO_ADDRESS, f"SOCKS5 has no addresses of type {kind}"))
        start = 5 if kind == _NAME else 4
        end = start + (first if kind == _NAME else _SIZES[kind])
        if len(self._buffer) < end + 2:
            return None
        message = self._take(end + 2)
        if command != _CONNECT:
            return self.refused(ProxyRefused(Answer.NO_COMMAND, "of the commands of SOCKS5 there is CONNECT alone"))
        return self._asked_for(kind, message[start:end], int.from_bytes(message[end:], "big"))

    def _asked_for(self, kind: int, address: bytes, port: int) -> bytes:
        try:
            host = _host(kind, address)
        except Refused as error:
            return self.refused(ProxyRefused(Answer.NOT_ALLOWED, str(error)))
        except ProtocolError as error:
            return self.refused(ProxyRefused(Answer.MALFORMED, str(error)))
        if not port:
            return self.refused(ProxyRefused(Answer.MALFORMED, "nobody listens on port 0"))
        self.asked = Asked(host, port)
        self._phase = Phase.ASKED
        return b""

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def _host(kind: int, address: bytes) -> Host:
    match kind:
        case 1:
            return check_address(IPv4Address(address))
        case 4:
            return check_address(IPv6Address(address))
        case _:
            # Latin-1 reads every byte, and the form of names takes ASCII alone.
            return read_host(address.decode("latin-1"))
