"""Which protocol a client of the proxy speaks, told by its first byte.

Invariant: SOCKS5 begins with 5 and HTTP with a letter; nothing else is spoken here.
"""

from typing import Final

from pulse.core.network.httpconnect import HttpConnect
from pulse.core.network.proxying import Login, Speech
from pulse.core.network.socks import VERSION, Socks

SOCKS4: Final = 4
NO_SOCKS4: Final = bytes((0, 91, 0, 0, 0, 0, 0, 0))
"""What SOCKS4 says for: rejected. It cannot ask for a login, and knows IPv4 alone."""


def begun(first: int, login: Login | None) -> Speech | None:
    """How to speak with a client whose first byte is that; None if nobody here can."""
    if first == VERSION:
        return Socks(login)
    return HttpConnect(login) if chr(first).isascii() and chr(first).isalpha() else None


def last_words(first: int) -> bytes:
    """What is said to a client that nobody can speak with."""
    return NO_SOCKS4 if first == SOCKS4 else b""
