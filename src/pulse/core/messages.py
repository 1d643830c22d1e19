"""What nodes say to each other, and the one codec for it.

    link control stream   u32 length ‖ msgpack [tag, field, …]                 ≤ 64 KiB
    session RPC           msgpack [method, body]  →  msgpack [tag, field, …]   ≤ 1 MiB
    LAN multicast         Beacon, signed and sealed by core/paths/datagram.py  ≤ 1,200 B

Fields are append-only, unknown trailing fields are ignored, an unknown tag becomes `Unknown`.
Invariant: decoding gives a value of the named types or raises ProtocolError, whatever the bytes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Final, TypeVar, get_args

import msgspec

from pulse import errors
from pulse.core.types import Digest as Hash
from pulse.core.types import Nonce, Port, ShortText
from pulse.errors import ProtocolError, PulseError

MESSAGE_LIMIT: Final = 64 * 1024
"""Bytes of one message on a link's control stream."""

RECORD_LIMIT: Final = 1024 + 66
"""Bytes of one signed node record, envelope and all."""

RPC_LIMIT: Final = 1024 * 1024
"""Bytes of one RPC request or answer."""

BEACON_LIMIT: Final = 1200
"""Bytes of one beacon as it goes out: every LAN carries that whole."""

LATEST: Final = 253_402_300_799
"""Seconds since 1970 at the end of year 9999: what a time from a peer may be at most."""

U8 = Annotated[int, msgspec.Meta(ge=0, le=2**8 - 1)]
U16 = Annotated[int, msgspec.Meta(ge=0, le=2**16 - 1)]
U32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
U53 = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""Counters: exact in JSON too, and far above anything that counts up by itself."""
U64 = Annotated[int, msgspec.Meta(ge=0)]
"""Bit sets; msgpack itself holds them under 2^64."""
Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]
"""Seconds since 1970 by the sender's wall clock."""

_T = TypeVar("_T")


class Wire(msgspec.Struct, frozen=True, array_like=True):
    """Base of wire messages: fields are append-only, new ones have a default."""


class ObjectKind(IntEnum):
    """What an object is; the number is part of what its signature covers."""

    SUCCESSION = 1
    ROLES = 2
    REVOCATION = 3
    CONFIG = 4
    CERTIFICATE = 5
    """A leaf in DER: signed by X.509's rules, not by ours."""
    RECORD = 6
    """A node record, signed by the node's own key."""
    CONFIG_OFFER = 7
    """Number and hash of the network config the sender holds; unsigned, it only says what to ask for."""
    BEACON = 8
    """Signed by the node's own key; it stays on the LAN and is never passed on."""
    RENEWAL = 9
    """A node asks for its next certificate: signed by its own key, and for the CA alone."""
    RENEWED = 10
    """The CA's answer to that."""
    RETIREMENT = 11
    """The CA's newest key takes the one before it out of trust."""


class Hello(Wire, frozen=True, tag=1):
    """First message on a link; the data plane sends and reads it, Python compares its codec."""

    version: U8
    boot: Nonce
    """Random, made at process start."""
    index: U32
    """Under which the sender receives frames of this link."""
    replaces: U32
    """Index of the link this one replaces, or 0."""
    clock: Time
    revocations: Hash
    features: U64 = 0


class Observed(Wire, frozen=True, tag=2):
    """Tell a neighbour the address we see it at; that is how it learns its own."""

    host: ShortText
    port: Port


class NodeRecords(Wire, frozen=True, tag=3):
    """Node records in their exact bytes, newest of each node."""

    records: Annotated[list[Annotated[bytes, msgspec.Meta(max_length=RECORD_LIMIT)]], msgspec.Meta(max_length=1024)]


class Have(Wire, frozen=True, tag=4):
    """Records the sender holds, as 12-byte ids one after the other (see `core/paths/noderecord.py`)."""

    ids: Annotated[bytes, msgspec.Meta(max_length=48 * 1024)]
    buckets: Annotated[bytes, msgspec.Meta(max_length=256)] = b""
    """Buckets of the digest, a byte each, of which `ids` names every record: the answer to a `Digest`."""


class Prune(Wire, frozen=True, tag=5):
    """Send no more records by yourself, only their ids: the sender has them from another neighbour sooner."""


class Item(Wire, frozen=True):
    """One object in its exact bytes; receivers skip kinds they do not know."""

    kind: U8
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MESSAGE_LIMIT)]


class Objects(Wire, frozen=True, tag=6):
    """Signed objects that go first and outside budgets."""

    items: Annotated[list[Item], msgspec.Meta(max_length=1024)]
    complete: bool = False
    """With these the receiver has heard all the sender held when the link came up."""


class Digest(Wire, frozen=True, tag=7):
    """A summary of all records the sender holds: 256 buckets of 8 bytes."""

    buckets: Annotated[bytes, msgspec.Meta(min_length=2048, max_length=2048)]


class Want(Wire, frozen=True, tag=8):
    """Send these: records by 12-byte ids, certificates by their 32-byte hashes, one after the other.

    One that names nothing takes a `Prune` back: send records by yourself again.
    """

    ids: Annotated[bytes, msgspec.Meta(max_length=48 * 1024)]
    certificates: Annotated[bytes, msgspec.Meta(max_length=8 * 1024)] = b""


class Leaving(Wire, frozen=True, tag=9):
    """The sender stops on purpose: route around it now, do not wait for silence."""

    reason: ShortText


class Beacon(Wire, frozen=True):
    """A node tells its LANs that it is there; where the datagram comes from is where it is dialled."""

    key: Hash
    """Its public key, 32 bytes: the id is the hash of it."""
    boot: U32
    seq: U32
    """Rises with each beacon in one boot count."""
    clock: Time
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    """Where it takes in links."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of a later release: skipped and counted."""

    tag: int


Gossiped = NodeRecords | Have | Prune | Digest | Want
Message = Hello | Observed | Gossiped | Objects | Leaving


class _Head(Wire, frozen=True):
    tag: U32


_encode = msgspec.msgpack.Encoder().encode
_head = msgspec.msgpack.Decoder(_Head)
_messages: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_TAGS: Final = frozenset(kind.__struct_config__.tag for kind in get_args(Message))


def pack(value: Wire) -> bytes:
    """Bytes of any wire struct."""
    return _encode(value)


def unpack(decoder: msgspec.msgpack.Decoder[_T], data: bytes, what: str, limit: int) -> _T:
    """Decode at most `limit` bytes; raises ProtocolError that names `what`."""
    if len(data) > limit:
        raise ProtocolError(f"{what} of {len(data)} bytes; {limit} are allowed")
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"undecodable {what}: {error}") from error


def encode(message: Wire) -> bytes:
    """Bytes of a link message; raises ProtocolError for one too long to send."""
    data = _encode(message)
    if len(data) > MESSAGE_LIMIT:
        raise ProtocolError(f"message of {len(data)} bytes; {MESSAGE_LIMIT} are allowed")
    return data


def batches(things: Iterable[_T], size: Callable[[_T], int], most: int) -> Iterator[list[_T]]:
    """The things in their order, so many bytes together at most; a longer one goes alone."""
    batch: list[_T] = []
    room = most
    for thing in things:
        if batch and size(thing) > room:
            yield batch
            batch, room = [], most
        batch.append(thing)
        room -= size(thing)
    if batch:
        yield batch


def decode(data: bytes) -> Message | Unknown:
    """A link message, or `Unknown` for a tag of a later release; raises ProtocolError."""
    tag = unpack(_head, data, "message", MESSAGE_LIMIT).tag
    if tag not in _TAGS:
        return Unknown(tag)
    return unpack(_messages, data, "message", MESSAGE_LIMIT)


MOST_SEEN = 3
"""Places a node says it is seen at."""


class Birthday(Wire, frozen=True):
    """The sender would probe by birthday: the NAT before it, and where neighbours see it, most of them first."""

    nat: ShortText
    seen: Annotated[list[ShortText], msgspec.Meta(max_length=MOST_SEEN)]


class Punch(Wire, frozen=True):
    """Body of `punch`, asked and answered: where the sender may be reached, and its half of the attempt's secret."""

    nonce: Nonce
    candidates: Annotated[list[ShortText], msgspec.Meta(max_length=8)]
    birthday: Birthday | None = None
    """None: this attempt is none by birthday."""


class MethodName(StrEnum):
    """What nodes can ask each other by RPC."""

    PING = "ping"
    TRACE = "trace"
    CONFIG = "config.get"
    JOIN = "join"
    """Of the CA: a stranger's request, as a relay took it in."""
    RENEW = "renew"
    """Of the CA: a member's request for its next certificate."""
    CLAIM = "roles.claim"
    EDIT = "config.edit"
    """Of the scribe: edits of an operator."""
    REVOKE = "revoke"
    """Of the scribe: a node that an operator shuts out."""
    TOKENS = "tokens"
    """Of the CA: what scribe and operators do with join tokens."""
    PUNCH = "punch"
    EXIT = "exit.health"
    """Of an exit: whether packets get out there."""
    WHY = "why"
    HITS = "hits.report"
    """Of the scribe: how many flows each rule decided on at the caller."""
    RESTART = "restart"
    """Of a node that lets operators do so."""
    SETTINGS = "settings.set"
    """The same: settings that it lets them change."""
    HITS_SUMMED = "hits.get"
    """Of the scribe: the same of all nodes, for an operator."""
    STATS = "stats.report"
    """Of the scribe: what the caller exchanged with others."""
    STATS_SUMMED = "stats.get"
    """Of the scribe: the same of all nodes, for an operator; for others of themselves."""
    STATS_PEERS = "stats.peers"
    """Of any node: what it exchanged with each other, for an operator."""


class Call(Wire, frozen=True):
    """An RPC request; `body` is for the method to decode."""

    method: ShortText
    body: Annotated[bytes, msgspec.Meta(max_length=RPC_LIMIT)]


class Result(Wire, frozen=True, tag=1):
    """The method ran; `body` is its answer."""

    body: Annotated[bytes, msgspec.Meta(max_length=RPC_LIMIT)]


class Failure(Wire, frozen=True, tag=2):
    """The method said no: the name of an error of pulse and its text."""

    error: ShortText
    text: Annotated[str, msgspec.Meta(max_length=1024)]


_calls = msgspec.msgpack.Decoder(Call)
_answers: msgspec.msgpack.Decoder[Result | Failure] = msgspec.msgpack.Decoder(Result | Failure)
_TELLABLE: Final = (errors.Refused, errors.NotFound, errors.Conflict, errors.LinkError, errors.SystemRefused)


def encode_call(method: str, body: bytes) -> bytes:
    """An RPC request; raises ProtocolError for one too long to send."""
    return _bounded(Call(method, body), "request")


def decode_call(data: bytes) -> Call:
    """The RPC request in `data`; raises ProtocolError."""
    return unpack(_calls, data, "request", RPC_LIMIT)


def encode_result(body: bytes) -> bytes:
    """The answer of a method that ran; raises ProtocolError for one too long to send."""
    return _bounded(Result(body), "answer")


def encode_failure(error: PulseError) -> bytes:
    """The answer of a method that said no."""
    return _encode(Failure(type(error).__name__, str(error)[:1024]))


def decode_answer(data: bytes) -> bytes:
    """The body of an RPC answer; raises what the far side raised, or ProtocolError."""
    answer = unpack(_answers, data, "answer", RPC_LIMIT)
    if isinstance(answer, Result):
        return answer.body
    text = printable(answer.text)
    for kind in _TELLABLE:
        if kind.__name__ == answer.error:
            raise kind(text)
    raise PulseError(text)


def _bounded(said: Wire, what: str) -> bytes:
    data = _encode(said)
    if len(data) > RPC_LIMIT:
        raise ProtocolError(f"{what} of {len(data)} bytes; {RPC_LIMIT} are allowed")
    return data


def printable(text: str) -> str:
    """`text` without characters that could move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def shortened(text: str) -> str:
    """The same, as much of it as an error sentence bears: 80 characters."""
    return printable(text)[:80]
