"""What the data plane refuses, in words for people.

Invariant: it names what was refused, never a type or a code of the data plane's own alone.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pulse.core.messages import printable
from pulse.errors import ProtocolError

_SENTENCES: Final = {
    "timeout": "no answer",
    "unreachable": "no way leads there",
    "too_large": "the message is too large",
    "busy": "it has too much to do; try again",
}


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Raises ProtocolError for what the data plane cannot read, which others wrote."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise ProtocolError(f"the data plane cannot read {what}: {printable(str(error))}") from error


def sentence(code: str, detail: str) -> str:
    """What to say of a refusal by its code, and what the other end said."""
    # A peer may have said it, and it ends on a terminal.
    return _SENTENCES.get(code) or printable(detail) or code


def tun_refusal(name: str, error: OSError) -> str:
    """Why there is no device of this name, and what to do."""
    without = "or without --tun (forwards, SOCKS and the SDK need no rights)"
    match error.errno:
        case errno.EPERM | errno.EACCES:
            service = "Run it as a service (pulse install-service), with sudo"
            return f"cannot create {name}: this user lacks CAP_NET_ADMIN. {service}, {without}"
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return f"cannot create {name}: there is no /dev/net/tun. Load it (modprobe tun), or run {without[3:]}"
        case errno.EBUSY:
            return f"cannot create {name}: another program uses it. Stop that, or choose a name: [tun] name"
        case _:
            return f"cannot create {name}: {error.strerror}. Run it {without[3:]}"
