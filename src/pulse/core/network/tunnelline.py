"""The line that begins a connection to the tunnel listeners, and the lines that answer it.

    {"dest_node": "db", "dest_addr": "localhost:5432"}\\n      then the bytes of that connection, both ways
    {"error": "…", "code": "refused"}\\n                       instead of them, and the end

On request (`confirm`) the bytes come after `{"ok": true}`. Who handed over a socket for them hears here how they ended:
`{"sent": 5, "received": 7}`, or the second line if they were cut. Invariant: what is no such line opens nothing.
"""

from typing import Annotated, Final

import msgspec

from pulse.core import strictjson
from pulse.errors import ConfigError, Conflict, LinkError, NotFound, PulseError, Refused, StreamFailed

LIMIT: Final = 4096
"""Bytes of the line, with its end."""

EXAMPLE: Final = '{"dest_node": "db", "dest_addr": "localhost:5432"}'

CROWDED: Final = "crowded_here"
"""The word for a caller who comes when there is no place; a later try may help."""

_CODES: Final[dict[type[PulseError], str]] = {
    ConfigError: "bad_request",
    NotFound: "no_node",
    Conflict: "ambiguous_node",
    Refused: "refused_here",
    LinkError: "unreachable",
}
"""What went wrong before a stream was opened; the others are words of stream codes."""

_KINDS: Final = {code: kind for kind, code in _CODES.items()}

_Short = Annotated[str, msgspec.Meta(max_length=300)]


class Asked(msgspec.Struct, frozen=True):
    """What a connection is to lead to; members that are not known are left out."""

    dest_node: _Short
    dest_addr: _Short
    token: _Short = ""
    """Wanted where others than this machine can connect."""
    confirm: bool = False
    """Say `{"ok": true}` once it leads there."""
    check: bool = False
    """Open nothing: only say whether the node is known and the rules allow it."""
    reverse: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """The other way round: that port of the node is to lead to `dest_addr` as this node sees it."""
    lasting: bool = False
    """Of a socket that is handed over: its stream goes on when who asked hangs up, until it ends by itself."""
    serve: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = None
    """That port of this node is to lead to who asks, 0 for one that is free; connections come with `Called` lines."""

    def __repr__(self) -> str:
        """Without the token."""
        return f"Asked({self.dest_node}, {self.dest_addr})"


class Answered(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of an answer."""

    ok: bool = False
    error: str = ""
    code: str = ""
    exit_code: int = 0
    """What a command ends with."""
    sent: int = 0
    """Bytes from here to there, once a connection that was handed over has ended."""
    received: int = 0
    port: int = 0
    """The port that leads to a program now."""


class Called(msgspec.Struct, frozen=True):
    """One connection to a port that leads to a program, which comes with the line: who made it."""

    node: str
    """Its id, as the session proved it."""
    name: str
    """What people call it."""
    named: bool = False
    """The name was given to it, by the scribe or its token, and rules go by it; else it asked for it itself."""


_asked = msgspec.json.Decoder(Asked)
_answered = msgspec.json.Decoder(Answered)
_called = msgspec.json.Decoder(Called)


def read(line: bytes) -> Asked:
    """What a line asks for; raises ConfigError."""
    try:
        strictjson.check(line)
        return _asked.decode(line)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"the first line of a tunnel is JSON such as {EXAMPLE}") from error


def line_of(said: msgspec.Struct) -> bytes:
    """One line that says it."""
    return msgspec.json.encode(said) + b"\n"


def refusal(error: PulseError, sent: int = 0, received: int = 0) -> bytes:
    """The line that says no, or what cut a stream over which so much had gone."""
    code = error.word if isinstance(error, StreamFailed) else _CODES.get(type(error), "failed")
    return line_of(Answered(False, str(error), code, error.exit_code, sent, received))


def read_call(line: bytes) -> Called:
    """Who made a connection; raises LinkError."""
    try:
        return _called.decode(line)
    except msgspec.DecodeError as error:
        raise LinkError("the node here speaks another version of pulse: restart it") from error


def read_answer(line: bytes) -> Answered:
    """An answer of the node; raises what it says no with, or StreamFailed if it is none."""
    try:
        answer = _answered.decode(line)
    except msgspec.DecodeError as error:
        raise StreamFailed("the node ended the connection without a word of why. See: pulse logs") from error
    if answer.error:
        if answer.code in _KINDS:
            raise _KINDS[answer.code](answer.error)
        raise StreamFailed(answer.error, word=answer.code, exit_code=answer.exit_code or StreamFailed.exit_code)
    return answer
