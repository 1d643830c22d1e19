"""The words that a proxy and its clients have in common, whichever protocol a client speaks.

Invariant: nobody is answered "granted" before the far side connected, and each client is answered once.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from pulse.core.network.hosttext import Host
from pulse.errors import Refused


class Answer(Enum):
    """Why a client is refused: the code of SOCKS5 (RFC 1928, 6), the status of HTTP, and the error in its Proxy-Status
    (RFC 9209, 2.3)."""

    FAILED = 1, 502, "connection_terminated"
    MALFORMED = 1, 400, "http_request_error"
    BUSY = 1, 503, "connection_limit_reached"
    NOT_ALLOWED = 2, 403, "http_request_denied"
    NETWORK_UNREACHABLE = 3, 502, "destination_ip_unroutable"
    HOST_UNREACHABLE = 4, 502, "destination_unavailable"
    TIMED_OUT = 4, 504, "connection_timeout"
    REFUSED = 5, 502, "connection_refused"
    NO_COMMAND = 7, 405, "http_request_denied"
    NO_ADDRESS = 8, 400, "http_request_error"
    LOGIN = 255, 407, "http_request_denied"
    TOO_LONG = 255, 431, "http_request_error"

    @property
    def code(self) -> int:
        """What SOCKS5 says for it; 255 where it has no words."""
        return self.value[0]

    @property
    def status(self) -> int:
        """What HTTP says for it."""
        return self.value[1]

    @property
    def error(self) -> str:
        """What Proxy-Status says for it."""
        return self.value[2]


class ProxyRefused(Refused):
    """A client of the proxy gets no connection; the text says why, and what to do."""

    def __init__(self, answer: Answer, text: str) -> None:
        super().__init__(text)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Login:
    """The one user and password the proxy takes."""

    user: bytes
    password: bytes

    def fits(self, user: bytes, password: bytes) -> bool:
        """True if it is they. Takes as long whatever was shown: hashes are compared, both of them always."""
        same = (hmac.compare_digest(_hash(one), _hash(other)) for one, other in _pairs(self, user, password))
        return all([*same])

    def __repr__(self) -> str:
        """Show no secret."""
        return "Login(hidden)"


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a client wants to be connected to."""

    host: Host
    port: int


class Step(NamedTuple):
    """What became of bytes of a client."""

    used: int
    """How many of them were for the proxy; what follows is for the far side."""
    say: bytes = b""
    """To be sent to the client at once."""


class Speech(Protocol):
    """One client's side of a protocol, until it is let through or refused."""

    asked: Asked | None
    """Where it wants to go, once it has said so and may ask."""

    @property
    def over(self) -> bool:
        """It was refused; what was to be said to it has been said."""
        ...

    def received(self, data: bytes) -> Step:
        """It sent bytes; not called once it has asked or is over."""
        ...

    def granted(self) -> bytes:
        """Words for: the far side connected."""
        ...

    def refused(self, why: ProxyRefused) -> bytes:
        """Words for: it did not."""
        ...


def _pairs(login: Login, user: bytes, password: bytes) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    return (login.user, user), (login.password, password)


def _hash(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
