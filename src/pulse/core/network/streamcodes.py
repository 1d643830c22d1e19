"""What opens a stream to a destination behind another node, and what a refusal of one says.

    header   msgpack [kind, host, port, …]     ≤ 4 KiB; later releases append fields

Invariant: a code always comes to a name and a sentence, whatever a peer sent.
"""

from enum import IntEnum
from typing import Annotated, Final

import msgspec

from pulse.core.messages import U8, Wire, pack, unpack
from pulse.core.network.destinations import Destination
from pulse.core.types import Text
from pulse.errors import LinkError, NotFound, ProtocolError, Refused, StreamFailed

HEADER_LIMIT: Final = 4096
"""Bytes of a header; the data plane knows the same."""


class StreamKind(IntEnum):
    """What a stream is for."""

    CONNECT = 1
    """`pulse connect`, `pulse forward` and the tunnel listener: a person named node and destination."""
    SOCKS = 2
    """A SOCKS client named the node as its destination."""
    EXIT = 3
    """The node is asked as an exit: the destination lies in a range that was approved for it."""
    LISTEN = 4
    """The node is to listen on that port of its loopback, for as long as the stream lasts."""
    BACK = 5
    """Somebody connected to such a port: the opener knows where it leads."""


class StreamCode(IntEnum):
    """What comes of a stream that was asked for; below 256 the far end's word, from there on the data plane's."""

    OK = 0
    NO_STREAMS = 1
    """It takes no streams: a release before there were any."""
    NOT_ALLOWED = 2
    """The rules deny it."""
    FORBIDDEN = 3
    """No node dials that destination for others, or this one does not."""
    NO_NAME = 4
    """The destination's name is nobody's there."""
    HOST_UNREACHABLE = 5
    NETWORK_UNREACHABLE = 6
    REFUSED = 7
    """Nothing listens at the destination."""
    TIMED_OUT = 8
    """The destination does not answer."""
    BUSY = 9
    """As many streams are open as may be."""
    BROKEN = 10
    """What was asked makes no sense to it, or it lost the destination in between."""
    AWAY = 256
    """No session with the node can be had."""
    SILENT = 257
    """The node gave no answer in time."""
    CROWDED = 258
    """The node has as many offers waiting as it takes."""
    TOO_LARGE = 259
    CANCELLED = 260
    LOST = 261
    """The session ended."""
    RESET = 262
    """What had begun was broken off: by a program at either end, or by the other node."""

    @property
    def word(self) -> str:
        """The code for programs: `not_allowed`."""
        return self.name.lower()


class StreamHeader(Wire, frozen=True):
    """First of all on a stream: what it is for, and where it is to lead."""

    kind: U8
    host: Text
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]

    @property
    def destination(self) -> Destination:
        """Where it is to lead."""
        return Destination(self.host, self.port)


_headers = msgspec.msgpack.Decoder(StreamHeader)

_REFUSALS: Final = frozenset({StreamCode.NOT_ALLOWED, StreamCode.FORBIDDEN, StreamCode.NO_STREAMS})

_SENTENCES: Final = {
    StreamCode.NO_STREAMS: "{node} takes no streams: it runs an earlier release of pulse",
    StreamCode.NOT_ALLOWED: (
        "the rules do not let {me} reach {node} at tcp/{port}.\nSee why: pulse acl explain {me} {name}:{port}"
    ),
    StreamCode.FORBIDDEN: (
        "{node} does not connect others to {destination}: it leads to itself and to what was approved for it, "
        "never to link-local or metadata addresses or to pulse's own ports"
    ),
    StreamCode.NO_NAME: '{node} knows no host "{host}"',
    StreamCode.HOST_UNREACHABLE: "{node} cannot reach {destination}: no way to that host",
    StreamCode.NETWORK_UNREACHABLE: "{node} cannot reach {destination}: no way to that network",
    StreamCode.REFUSED: "nothing listens at {destination} on {node}: connection refused",
    StreamCode.TIMED_OUT: "{destination} does not answer {node}",
    StreamCode.BUSY: "{node} has as many streams open as it takes. Try again later",
    StreamCode.BROKEN: "{node} could not make sense of the stream, or lost {destination} at once",
    StreamCode.AWAY: "{node} cannot be reached now: it is off, or no path leads there.\nSee which: pulse why {name}",
    StreamCode.SILENT: "{node} gave no answer in time.\nSee how it is reached: pulse why {name}",
    StreamCode.CROWDED: "{node} has too many streams waiting. Try again",
    StreamCode.TOO_LARGE: "{destination} is too long a destination",
    StreamCode.CANCELLED: "the stream to {node} was given up",
    StreamCode.LOST: "the connection with {node} was lost. Try again",
    StreamCode.RESET: "{node} broke the stream off. Try again",
}

_CUTS: Final = {
    StreamCode.CANCELLED: (
        "{what} was cut here: the rules turned, or this node stops.\nSee: pulse status, pulse acl list"
    ),
    StreamCode.LOST: (
        "{what} was cut: that node restarted, was shut out, or cannot be reached any more.\nSee which: pulse why {name}"
    ),
    StreamCode.RESET: (
        "{what} was cut there: its program broke the connection off, or the rules turned.\nSee: pulse acl list"
    ),
}


def read_header(data: bytes) -> StreamHeader:
    """A header from its bytes; raises ProtocolError."""
    return unpack(_headers, data, "stream header", HEADER_LIMIT)


def header(kind: StreamKind, destination: Destination) -> bytes:
    """The bytes of a header."""
    return pack(StreamHeader(kind, destination.host, destination.port))


def kind_of(read: StreamHeader) -> StreamKind:
    """What the stream is for; raises ProtocolError for a kind of a later release."""
    try:
        return StreamKind(read.kind)
    except ValueError as error:
        raise ProtocolError(f"no kind of stream has the number {read.kind}") from error


def code_of(number: int) -> StreamCode:
    """The code a peer sent; one of a later release is BROKEN."""
    try:
        return StreamCode(number)
    except ValueError:
        return StreamCode.BROKEN


def failed(code: StreamCode, me: str, node: str, destination: Destination) -> StreamFailed:
    """The error for a person: `me` and `node` are what people call the two ends."""
    words = {"me": me, "node": node, "name": node.partition(" ")[0], "port": destination.port}
    text = _SENTENCES[code].format(**words, destination=destination, host=destination.host)
    return StreamFailed(text, code, code.word, exit_code(code))


def cut(code: StreamCode, node: str, destination: Destination) -> StreamFailed:
    """The error for a person whose stream did not end by itself."""
    return _cut(code, node, f"the stream to {destination} on {node}")


def their_cut(code: StreamCode, node: str, port: int) -> StreamFailed:
    """The same for the program here that `node` had a stream to."""
    return _cut(code, node, f"the connection of {node} to port {port}")


def exit_code(code: StreamCode) -> int:
    """Of a command that ends so."""
    if code in _REFUSALS:
        return Refused.exit_code
    return NotFound.exit_code if code is StreamCode.NO_NAME else LinkError.exit_code


def _cut(code: StreamCode, node: str, what: str) -> StreamFailed:
    text = _CUTS.get(code, _CUTS[StreamCode.LOST])
    return StreamFailed(text.format(what=what, name=node.partition(" ")[0]), code, code.word)
