"""A QUIC connection (aioquic) that gives away keys of its TLS, which aioquic alone does not.

Invariant: `export` gives what the other end's exporter gives (RFC 8446 §7.5), whichever end dialled.
"""

import hashlib
import ssl
from functools import cache
from typing import Final

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.tls import CipherSuite, Direction, Epoch, hkdf_expand_label
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tests.e2e.forgery import Wanted

EXPORTED: Final = 32
CONNECTION_ID: Final = 8
"""Bytes of the connection ids aioquic chooses for itself."""


class Talk(QuicConnection):
    """One connection; the one who answers asks for a certificate, and either believes what it is shown."""

    _exporter_secret: bytes = b""

    def export(self, label: bytes, context: bytes) -> bytes:
        """32 bytes that only the two ends of this connection know."""
        secret = _expand(self._exporter_secret, label, b"")
        return _expand(secret, b"exporter", context)

    @property
    def shown(self) -> x509.Certificate | None:
        """The certificate the other end showed."""
        return self.tls._peer_certificate

    def is_addressed(self, connection_id: bytes) -> bool:
        """True if a packet to that connection id is for this connection."""
        own = {each.cid for each in self._host_cids}
        return connection_id in own or connection_id == self.original_destination_connection_id

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls._request_client_certificate = True

    def _update_traffic_key(self, direction: Direction, epoch: Epoch, cipher_suite: CipherSuite, secret: bytes) -> None:
        if epoch is Epoch.ONE_RTT and not self._exporter_secret:
            # The first of the two comes while the transcript ends with the server's Finished, as §7.1 wants it.
            schedule = self.tls.key_schedule
            assert schedule is not None
            self._exporter_secret = schedule.derive_secret(b"exp master")
        super()._update_traffic_key(direction, epoch, cipher_suite, secret)


def calling(alpn: str, shows: Wanted | None) -> Talk:
    """The end that dials."""
    return Talk(configuration=_settings(alpn, shows, dials=True))


def answering(alpn: str, shows: Wanted, first_connection_id: bytes) -> Talk:
    """The end that was dialled with a first packet to that connection id."""
    return Talk(
        configuration=_settings(alpn, shows, dials=False), original_destination_connection_id=first_connection_id
    )


@cache
def certificate_of(shows: Wanted) -> x509.Certificate:
    """The one certificate of that wish: node records name it by its hash."""
    return shows.made()


def _settings(alpn: str, shows: Wanted | None, *, dials: bool) -> QuicConfiguration:
    settings = QuicConfiguration(alpn_protocols=[alpn], is_client=dials, verify_mode=ssl.CERT_NONE)
    if shows:
        settings.certificate, settings.private_key = certificate_of(shows), shows.key
    # A session is kicked by a datagram.
    settings.max_datagram_frame_size = 1200
    return settings


def _expand(secret: bytes, label: bytes, context: bytes) -> bytes:
    return hkdf_expand_label(SHA256(), secret, label, hashlib.sha256(context).digest(), EXPORTED)
