"""A session that a rogue dials by heart: its QUIC packets ride in frames, with whatever source it claims.

Invariant: packets for it are taken from every link it was made with, so a rogue may call from where it is not.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
from aioquic._buffer import Buffer
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, StreamDataReceived, StreamReset
from aioquic.quic.packet import pull_quic_header
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pulse import clock
from pulse.core import messages
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.revocation import digest_of
from tests.e2e.forgery import Wanted
from tests.e2e.stranger import SESSION
from tests.security.frames import Frame, Header, Key, Kind
from tests.security.link import AES, CONTROL, Link
from tests.security.packets import Ends, echo, flow_of
from tests.security.talk import CONNECTION_ID, calling

RECORD: Final = 0x23
RECORD_LABEL: Final = b"EXPORTER-pulse record v1"
INFO: Final = b"pulse record v1"
KEYS, KEYS_USED = 2, 3
QUICS: Final = ("", 0)
"""aioquic wants an address of its peer; frames have handles."""


PINGS = 30
"""Sent in a second each, before one of them must have been answered."""


@dataclass(slots=True)
class Heard:
    """What became of a session."""

    greeted: bool = False
    """The daemon said its hello."""
    closed: tuple[int, str] | None = None
    answers: dict[int, bytes] = field(default_factory=dict)
    """What came on each stream of ours."""
    answered: set[int] = field(default_factory=set)
    """Streams of ours that ended."""
    frames: int = 0
    """Session packets that came."""
    packets: list[bytes] = field(default_factory=list)
    """IP packets that came in records."""


class Session:
    """One session dialled over the first of `links`, with the daemon there or, through it, with another.

    `src` is where it says it comes from; its part of the record keys is that of `again`, if that is given.
    """

    def __init__(
        self,
        links: Sequence[Link],
        *,
        src: str | None = None,
        shows: Wanted | None = None,
        anonymous: bool = False,
        alpn: str = SESSION,
        hello: bytes | None = None,
        to: Certificate | None = None,
        again: "Session | None" = None,
    ) -> None:
        self.links, self.link = links, links[0]
        self.turn = self.link.turn
        peer = to or self.link.peer
        assert peer is not None
        self.peer = peer
        self.header = Header(src or self.link.me, str(peer.addresses.v4), Kind.SESSION)
        self.heard = Heard()
        self.talk = calling(alpn, None if anonymous else shows or self.link.shows)
        self._hello = hello
        self._stream = b""
        self._aes = True
        self._private: X25519PrivateKey = again._private if again else X25519PrivateKey.generate()
        self._index: int = again._index if again else secrets.randbelow(2**32 - 1) + 1
        self._offered = False
        self._their_index = 0
        self.has_keys = False
        """Records may be sealed, and will be opened."""
        self._seal: Key | None = None
        self._open: Key | None = None
        self._counter = 0
        with self.turn:
            for link in links:
                link.session_takers.append(self._take)
                link.record_takers.append(self._take_record)
            self.talk.connect(QUICS, time.monotonic())
            self.link.waked.append(self)
            self.flush()

    def waits_up(self) -> None:
        """Wait for the daemon's hello, and for keys to seal records with."""
        self.link.waits(lambda: self.has_keys or self.heard.closed, "a session with keys comes up")
        assert self.heard.closed is None, self.heard.closed

    def waits_closed(self) -> tuple[int, str]:
        """Wait until the daemon hangs up: code and words."""
        self.link.waits(lambda: self.heard.closed, "the session is closed")
        assert self.heard.closed is not None
        return self.heard.closed

    def listens(self, seconds: float) -> Heard:
        """What it heard within that time."""
        with self.turn:
            self.turn.wait_for(lambda: self.heard.closed is not None, seconds)
        return self.heard

    def offers_keys(self, count: int) -> None:
        """Offer new keys for records that often; none of them is kept."""
        fresh = [X25519PrivateKey.generate().public_key().public_bytes_raw() for _ in range(count)]
        self.says(*(msgspec.msgpack.encode([KEYS, public, number + 1]) for number, public in enumerate(fresh)))

    def says(self, *said: messages.Wire | bytes) -> None:
        """Say messages on the control stream."""
        packed = [each if isinstance(each, bytes) else messages.pack(each) for each in said]
        with self.turn:
            self.talk.send_stream_data(CONTROL, b"".join(len(each).to_bytes(4) + each for each in packed))
            self.flush()

    def asks(self, method: str, body: bytes) -> messages.Result | messages.Failure:
        """An RPC, and what comes back."""
        with self.turn:
            stream = self.talk.get_next_available_stream_id()
            self.talk.send_stream_data(stream, bytes(5) + messages.encode_call(method, body), end_stream=True)
            self.flush()
        self.link.waits(lambda: stream in self.heard.answered, f"{method} is answered")
        answer = self.heard.answers[stream]
        assert answer[0] == 0, f"the stream was refused: {answer[:16]!r}"
        return msgspec.msgpack.decode(answer[1:], type=messages.Result | messages.Failure)

    def seals(self, packet: bytes, *, counter: int | None = None, flags: int = 0) -> bytes:
        """An IP packet as a record for the daemon."""
        assert self._seal is not None
        number = self._counter if counter is None else counter
        self._counter = max(self._counter, number + 1)
        start = bytes((RECORD, flags, 0, 0)) + self._their_index.to_bytes(4) + number.to_bytes(8)
        return start + self._seal.seal(number, packet, start)

    def frames(self, packet: bytes, **fields: str | int) -> bytes:
        """An IP packet as a framed record, with its true flow in the header but for `fields`."""
        told = flow_of(packet)
        header = Header(self.link.me, self.header.dst, Kind.RECORD, told.proto, told.sport, told.dport)
        return self.link.seals(replace(header, **fields), self.seals(packet))  # type: ignore[arg-type]

    def marks(self) -> list[bytes]:
        """What its keys make of one and the same text: equal for equal keys."""
        assert self._seal is not None
        assert self._open is not None
        return [key.seal(0, b"the same", b"") for key in (self._seal, self._open)]

    def opens(self, record: bytes) -> bool:
        """True if its keys of now open a record that came."""
        assert self._open is not None
        return self._open.open(int.from_bytes(record[8:16]), record[16:], record[:16]) is not None

    def sends(self, *packets: bytes) -> None:
        """Send IP packets as bare records."""
        self.link.throws(*(self.seals(packet) for packet in packets))

    def is_alive(self, ends: Ends | None = None) -> bool:
        """True if a ping of the daemon's mesh address, or between these ends, is answered."""
        mark = secrets.token_bytes(8)

        def answered() -> bool:
            return any(mark in packet for packet in self.heard.packets)

        with self.turn:
            # As ping does: behind a flood one packet may be lost in a full buffer.
            for _ in range(PINGS):
                self.sends(echo(ends or Ends(self.link.me, self.header.dst), mark))
                if self.turn.wait_for(answered, 1.0):
                    return True
        raise TimeoutError(f"none of {PINGS} pings is answered")

    # What the link does

    def wake(self, now: float) -> None:
        """Time has passed."""
        due = self.talk.get_timer()
        if due is not None and due <= now:
            self.talk.handle_timer(now)
            self._listen()

    def flush(self) -> None:
        """Put what QUIC has to send into frames."""
        for data, _ in self.talk.datagrams_to_send(time.monotonic()):
            self.link.sends(self.header, data)

    # Details

    def _take(self, frame: Frame) -> None:
        addressed = pull_quic_header(Buffer(data=frame.body), host_cid_length=CONNECTION_ID).destination_cid
        if not self.talk.is_addressed(addressed):
            return
        self.heard.frames += 1
        self.talk.receive_datagram(frame.body, QUICS, time.monotonic())
        self._listen()

    def _take_record(self, data: bytes) -> None:
        if self._open and int.from_bytes(data[4:8]) == self._index:
            packet = self._open.open(int.from_bytes(data[8:16]), data[16:], data[:16])
            self.heard.packets += [packet] if packet else []

    def _listen(self) -> None:
        while event := self.talk.next_event():
            match event:
                case HandshakeCompleted():
                    true = messages.Hello(1, self.link.boot, 0, 0, clock.wall(), digest_of([]), AES)
                    self.says(true if self._hello is None else self._hello)
                case StreamDataReceived(data=data, stream_id=stream) if stream == CONTROL:
                    self._hear(data)
                case StreamDataReceived(data=data, stream_id=stream, end_stream=over):
                    self.heard.answers[stream] = self.heard.answers.get(stream, b"") + data
                    self.heard.answered |= {stream} if over else set()
                case StreamReset(stream_id=stream, error_code=code):
                    self.heard.answers[stream] = b"reset" + code.to_bytes(8)
                    self.heard.answered.add(stream)
                case ConnectionTerminated(error_code=code, reason_phrase=reason):
                    self.heard.closed = (code, reason)
        self.flush()

    def _hear(self, data: bytes) -> None:
        self._stream += data
        while len(self._stream) >= 4 and len(self._stream) >= 4 + (size := int.from_bytes(self._stream[:4])):
            message, self._stream = self._stream[4 : 4 + size], self._stream[4 + size :]
            if not self.heard.greeted:
                self._greeted(message)
            elif (fields := msgspec.msgpack.decode(message))[0] == KEYS:
                self._agree(fields[1], fields[2])
            elif fields[0] == KEYS_USED:
                self.has_keys = self._seal is not None

    def _greeted(self, message: bytes) -> None:
        self.heard.greeted = True
        hello = messages.decode(message)
        assert isinstance(hello, messages.Hello)
        self._aes = bool(hello.features & AES)
        if self.link.me_id < self.peer.node_id:
            self._offer()

    def _offer(self) -> None:
        self._offered = True
        self.says(msgspec.msgpack.encode([KEYS, self._private.public_key().public_bytes_raw(), self._index]))

    def _agree(self, public: bytes, index: int) -> None:
        if not self._offered:
            self._offer()
        self._their_index = index
        shared = self._private.exchange(X25519PublicKey.from_public_bytes(public))
        me, them = node_bytes(self.link.me_id), node_bytes(self.peer.node_id)
        indexes = [self._index.to_bytes(4), index.to_bytes(4)]
        ids = [me, them]
        if them < me:
            ids, indexes = ids[::-1], indexes[::-1]
        self._seal, self._open = (
            self._key(shared, b"".join(ids), [*way, *indexes]) for way in ((me, them), (them, me))
        )
        # The higher id waits for the word of the lower one, who else would not open yet what is sealed.
        self.has_keys = self.link.me_id < self.peer.node_id
        if self.has_keys:
            self.says(msgspec.msgpack.encode([KEYS_USED, index]))

    def _key(self, shared: bytes, ids: bytes, bound: Sequence[bytes]) -> Key:
        salt = self.talk.export(RECORD_LABEL, ids)
        return Key(HKDF(SHA256(), 32, salt, INFO + b"".join(bound)).derive(shared), aes=self._aes)
