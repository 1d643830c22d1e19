"""A rogue's link with a real daemon: its hello, control messages of any kind, and any frame at all.

Invariant: the link keeps itself up (it answers probes) unless told not to; everything else is said by a test.
"""

import secrets
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from threading import Condition
from typing import Final, Protocol

from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, StreamDataReceived
from cryptography.hazmat.primitives.serialization import Encoding

from pulse import clock
from pulse.core import messages
from pulse.core.trust.certificates import Certificate, parse
from pulse.core.trust.identity import node_bytes, node_id, public_bytes
from pulse.core.trust.revocation import digest_of
from pulse.core.types import NodeId
from pulse.lab.host import wait_until
from tests.e2e.forgery import Wanted
from tests.e2e.mesh import PATIENCE
from tests.security.frames import Clear, Frame, Header, Key, Kind, opened, sealed, usual_flags
from tests.security.talk import Talk

Address = tuple[str, int]

CONTROL: Final = 0
"""The stream that carries messages."""

HOP_LABEL: Final = b"EXPORTER-pulse hop v1"
AES: Final = 1
"""Feature bit of a hello."""

ASK, ECHO = 0, 1
PROBE: Final = struct.Struct("!BIQ")
HALVES: Final = Clear.FIRST_HALF | Clear.SECOND_HALF
KEPT: Final = 10_000
"""Frames and messages kept for tests to look at."""


class Timed(Protocol):
    """What wants to be told that time has passed."""

    def wake(self, now: float) -> None:
        """Do what is due."""


class Link:
    """One link, made or in the making; `turn` is held by whoever touches it."""

    def __init__(self, turn: Condition, send: Callable[[bytes, Address], None], shows: Wanted, talk: Talk) -> None:
        self.turn, self._send, self.shows, self.talk = turn, send, shows, talk
        self.index = secrets.randbelow(2**32 - 1) + 1
        self.boot = secrets.token_bytes(16)
        self.me = shows.addresses[0]
        self.remote: Address = ("", 0)
        self.theirs: messages.Hello | None = None
        self.peer: Certificate | None = None
        self.closed: tuple[int, str] | None = None
        self.answers_probes = True
        self.frames: deque[Frame] = deque(maxlen=KEPT)
        self.messages: deque[bytes] = deque(maxlen=KEPT)
        self.raw_taker: Callable[[bytes], None] = lambda _: None
        """Sees each frame as it came."""
        self.frame_taker: Callable[[Frame], bool] | None = None
        """Sees each frame first; true if it took it."""
        self.message_taker: Callable[[bytes], None] | None = None
        """Sees each message."""
        self.session_takers: list[Callable[[Frame], None]] = []
        """See the packets of sessions, whoever they are for."""
        self.record_takers: list[Callable[[bytes], None]] = []
        """See bare records, whoever they are for."""
        self.waked: list[Timed] = []
        """What has timers beside the link itself."""
        self.bounces = 0
        """How often a test sent something straight back."""
        self._halves: dict[int, Frame] = {}
        self._said_hello = False
        self._stream = b""
        self._counter = 0
        self._probes = 0
        self._echoes: dict[int, int] = {}
        self._seal: Key | None = None
        self._open: Key | None = None

    # Waiting

    def waits_up(self) -> None:
        """Wait for both hellos; raises ConnectionRefusedError with what it was told if there will be none."""
        self.waits(lambda: self.is_up or self.closed, "a link comes up")
        if not self.is_up:
            raise ConnectionRefusedError(str(self.closed))

    def waits_closed(self) -> tuple[int, str]:
        """Wait until the daemon hangs up: the code and its words."""
        self.waits(lambda: self.closed, "the link is closed")
        assert self.closed is not None
        return self.closed

    def waits(self, happened: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
        """Wait for something about this link."""
        with self.turn:
            if not self.turn.wait_for(lambda: bool(happened()), patience):
                raise TimeoutError(f"not within {patience:g} s: {what}")

    def pauses(self, seconds: float) -> None:
        """Let time pass, with the link kept up."""
        with self.turn:
            self.turn.wait_for(lambda: self.closed is not None, seconds)

    @property
    def is_up(self) -> bool:
        """Both hellos were said and it was not closed."""
        return self._said_hello and self.theirs is not None and self.closed is None

    @property
    def there(self) -> str:
        """The handle of the daemon at the other end."""
        assert self.peer is not None
        return str(self.peer.addresses.v4)

    @property
    def peer_id(self) -> NodeId:
        """The id of the daemon at the other end."""
        assert self.peer is not None
        return self.peer.node_id

    # Saying

    def says(self, *said: messages.Wire | bytes) -> None:
        """Say messages, each with its true length before it."""
        packed = [each if isinstance(each, bytes) else messages.pack(each) for each in said]
        self.utters(b"".join(len(each).to_bytes(4) + each for each in packed))

    def utters(self, raw: bytes) -> None:
        """Put bytes on the control stream as they are."""
        with self.turn:
            self.talk.send_stream_data(CONTROL, raw)
            self.flush()

    def hangs_up(self) -> None:
        """Close it."""
        with self.turn:
            self.talk.close()
            self.closed = self.closed or (0, "by us")
            self.flush()

    # Frames

    def seals(
        self, header: Header, body: bytes = b"", *, counter: int | None = None, clear: int | None = None
    ) -> bytes:
        """The bytes of a frame for this link."""
        flags = usual_flags(header.kind) if clear is None else clear
        return self.seals_raw(header.encode(), body, counter=counter, clear=flags)

    def seals_raw(self, hop: bytes, body: bytes = b"", *, counter: int | None = None, clear: int = 0) -> bytes:
        """The same, with whatever is to stand where the header should."""
        assert self._seal is not None
        assert self.theirs is not None
        number = self.takes_counters(1) if counter is None else counter
        return sealed(self._seal, self.theirs.index, number, hop, body, clear)

    def takes_counters(self, count: int) -> int:
        """Have that many counters left out; the first of them."""
        with self.turn:
            self._counter += count
            return self._counter - count

    def throws(self, *datagrams: bytes) -> None:
        """Send datagrams as they are to where the link leads."""
        for datagram in datagrams:
            self._send(datagram, self.remote)

    def sends(self, header: Header, body: bytes = b"") -> None:
        """Seal a frame and send it."""
        self.throws(self.seals(header, body))

    # Probes

    def probe(self, *, src: str | None = None, dst: str | None = None, ttl: int = 1) -> tuple[int, Header, bytes]:
        """A link probe not yet sealed: its number, header and body."""
        with self.turn:
            self._probes += 1
            number = self._probes
        header = Header(src or self.me, dst or self.there, Kind.LINK_PROBE, ttl=ttl)
        return number, header, PROBE.pack(ASK, number, 0)

    def echoes(self, number: int) -> int:
        """How often that probe was echoed so far."""
        with self.turn:
            return self._echoes.get(number, 0)

    def is_alive(self) -> bool:
        """True if probes sent from now on are echoed; the first may come before the daemon knows the link."""
        first = self._probes

        def echoed() -> bool:
            _, header, body = self.probe()
            self.sends(header, body)
            self.pauses(0.05)
            return any(each > first for each in self._echoes)

        wait_until(echoed, "an echo", PATIENCE)
        return True

    # What the rogue's thread does

    def take_datagram(self, data: bytes, source: Address) -> None:
        """A datagram of QUIC came."""
        self.talk.receive_datagram(data, source, time.monotonic())
        self._listen()

    def take_frame(self, data: bytes) -> None:
        """A frame under our index came."""
        self.raw_taker(data)
        frame = opened(self._open, data) if self._open else None
        if frame is None or (self.frame_taker and self.frame_taker(frame)):
            return
        frame = self._rejoined(frame)
        if frame is None:
            return
        if frame.header.kind == Kind.LINK_PROBE:
            self._probed(frame)
        elif frame.header.kind == Kind.SESSION and self.session_takers:
            for take in self.session_takers:
                take(frame)
        else:
            self.frames.append(frame)

    def wake(self, now: float) -> None:
        """Time has passed."""
        due = self.talk.get_timer()
        if due is not None and due <= now:
            self.talk.handle_timer(now)
            self._listen()
        for each in self.waked:
            each.wake(now)

    def flush(self) -> None:
        """Send what QUIC has to send."""
        for data, target in self.talk.datagrams_to_send(time.monotonic()):
            self._send(data, target)

    # Details

    def _listen(self) -> None:
        while event := self.talk.next_event():
            match event:
                case HandshakeCompleted():
                    self._met()
                case StreamDataReceived(data=data, stream_id=stream) if stream == CONTROL:
                    self._hear(data)
                case ConnectionTerminated(error_code=code, reason_phrase=reason):
                    self.closed = (code, reason)
        self.flush()

    def _met(self) -> None:
        assert self.talk.shown is not None
        self.peer = parse(self.talk.shown.public_bytes(Encoding.DER))
        if self.talk._is_client:
            self._say_hello()

    def _rejoined(self, frame: Frame) -> Frame | None:
        """The whole frame, once both its halves are there."""
        if not frame.clear & HALVES:
            return frame
        is_first = bool(frame.clear & Clear.FIRST_HALF)
        number = frame.counter if is_first else frame.counter - 1
        other = self._halves.pop(number, None)
        if other is None:
            self._halves[number] = frame
            return None
        first, second = (frame, other) if is_first else (other, frame)
        return replace(first, body=first.body + second.body, clear=first.clear & ~HALVES)

    def _say_hello(self) -> None:
        hello = messages.Hello(1, self.boot, self.index, 0, clock.wall(), digest_of([]), AES)
        self._said_hello = True
        self.says(hello)

    def _hear(self, data: bytes) -> None:
        self._stream += data
        while len(self._stream) >= 4 and len(self._stream) >= 4 + (size := int.from_bytes(self._stream[:4])):
            message, self._stream = self._stream[4 : 4 + size], self._stream[4 + size :]
            if self.theirs is None:
                self._greeted(message)
                continue
            self.messages.append(message)
            if self.message_taker:
                self.message_taker(message)

    def _greeted(self, message: bytes) -> None:
        hello = messages.decode(message)
        assert isinstance(hello, messages.Hello)
        assert self.peer is not None
        aes = bool(hello.features & AES)
        me, them = self.me_id, self.peer.node_id
        self._seal, self._open = self._key(me, them, aes=aes), self._key(them, me, aes=aes)
        self.theirs = hello
        if not self._said_hello:
            self._say_hello()

    @property
    def me_id(self) -> NodeId:
        """Who the rogue is on this link."""
        return node_id(public_bytes(self.shows.key))

    def _key(self, sender: NodeId, receiver: NodeId, *, aes: bool) -> Key:
        return Key(self.talk.export(HOP_LABEL, node_bytes(sender) + node_bytes(receiver)), aes=aes)

    def _probed(self, frame: Frame) -> None:
        kind, number, stamp = PROBE.unpack(frame.body[: PROBE.size])
        if kind == ECHO:
            self._echoes[number] = self._echoes.get(number, 0) + 1
        elif self.answers_probes:
            self.sends(Header(self.me, self.there, Kind.LINK_PROBE, ttl=1), PROBE.pack(ECHO, number, stamp))
