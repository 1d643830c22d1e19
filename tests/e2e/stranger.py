"""A QUIC client that is not ours (aioquic), and so keeps none of our rules: any certificate or none, any lane.

Invariant: it believes whatever certificate it is shown, and keeps all that was said to it.
"""

import secrets
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Final

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StreamDataReceived
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from pulse.lab.host import Host
from tests.e2e.mesh import PATIENCE, PORT
from tests.namespace import inside

LINK: Final = "pulse-link/1"
SESSION: Final = "pulse-session/1"
JOIN: Final = "pulse-join/1"
JOIN_PINNED: Final = "pulse-join-ca/1"
MARK: Final = b"pulsejn1"
"""How the connection id of a joiner's first packet begins."""

ALERTS: Final = range(0x100, 0x200)
"""Close codes that are alerts of TLS (RFC 9001 §4.8)."""


@dataclass(slots=True)
class Heard:
    """All that a node said to a stranger."""

    certificates: list[bytes] = field(default_factory=list)
    alpn: str | None = None
    stream: bytes = b""
    closed: tuple[int, str] | None = None

    @property
    def alert(self) -> int | None:
        """The TLS alert it was turned away with."""
        return self.closed[0] - ALERTS.start if self.closed and self.closed[0] in ALERTS else None


class Stranger:
    """One connection from a host to a node's port; `marked` asks for the join lane."""

    def __init__(
        self,
        host: Host,
        target: str,
        alpn: str | None,
        *,
        certificate: x509.Certificate | None = None,
        key: Ed25519PrivateKey | None = None,
        marked: bool = False,
    ) -> None:
        with inside(host.namespace):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        settings = QuicConfiguration(alpn_protocols=[alpn] if alpn else None, verify_mode=ssl.CERT_NONE)
        settings.certificate, settings.private_key = certificate, key
        self.quic = QuicConnection(configuration=settings)
        if marked:
            self._mark()
        self._target = (target, PORT)
        self.heard = Heard()
        self.quic.connect(self._target, time.monotonic())

    def __enter__(self) -> "Stranger":
        return self

    def __exit__(self, *_: object) -> None:
        self.quic.close()
        self._send()
        self._socket.close()

    def says(self, data: bytes) -> None:
        """Open the one stream and say something on it."""
        self.quic.send_stream_data(0, data)

    def listens(self, seconds: float = PATIENCE, enough: int | None = None) -> Heard:
        """Hear all until the node hangs up, time is over, or `enough` bytes came on the stream."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.heard.closed is None:
            if enough is not None and len(self.heard.stream) >= enough:
                break
            self._send()
            self._receive(end)
            while event := self.quic.next_event():
                self._note(event)
        return self.heard

    def _mark(self) -> None:
        """The choice of the first connection id is no setting of aioquic's."""
        marked = MARK + secrets.token_bytes(8)
        self.quic._peer_cid.cid = self.quic._original_destination_connection_id = marked

    def _send(self) -> None:
        for data, target in self.quic.datagrams_to_send(time.monotonic()):
            self._socket.sendto(data, target)

    def _receive(self, end: float) -> None:
        timer = self.quic.get_timer()
        until = end if timer is None else min(end, timer)
        self._socket.settimeout(max(until - time.monotonic(), 0.001))
        try:
            data, source = self._socket.recvfrom(1 << 16)
        except TimeoutError:
            self.quic.handle_timer(time.monotonic())
        except ConnectionRefusedError:
            return
        else:
            self.quic.receive_datagram(data, source, time.monotonic())

    def _note(self, event: QuicEvent) -> None:
        shown = self.quic.tls._peer_certificate
        if shown and not self.heard.certificates:
            chain = [shown, *self.quic.tls._peer_certificate_chain]
            self.heard.certificates = [each.public_bytes(Encoding.DER) for each in chain]
        match event:
            case HandshakeCompleted(alpn_protocol=alpn):
                self.heard.alpn = alpn
            case StreamDataReceived(data=data):
                self.heard.stream += data
            case ConnectionTerminated(error_code=code, reason_phrase=reason):
                self.heard.closed = (code, reason)
