"""The four doors of a node, and what each says to whoever knocks with a certificate of any kind or with none.

Invariant: who knocks speaks by a stack that is not ours (aioquic, OpenSSL), so what refuses it is the daemon alone.
"""

import secrets
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pulse.core.messages import ObjectKind, pack
from pulse.core.trust.renew import VERSION, Renewal
from pulse.core.trust.signed import seal
from pulse.core.types import Network
from tests.e2e.forgery import Wanted
from tests.e2e.mesh import PATIENCE, PORT
from tests.e2e.stranger import ALERTS, JOIN, LINK, Stranger
from tests.namespace import inside
from tests.security.scene import Scene
from tests.security.session import Session
from tests.security.talk import certificate_of

DENIED, WANTED = "access denied", "certificate required"
"""Alerts of TLS (RFC 8446 §6) by the names OpenSSL has for them."""

_ALERTS: Final = {49: DENIED, 116: WANTED}

GENERAL_WORDS: Final = "invalid peer certificate: ApplicationVerificationFailure"
"""What is said to everybody who is denied; why is for our log."""

UPGRADE: Final = (
    b"GET /pulse/link HTTP/1.1\r\nHost: pulse\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

KNOCK: Final = b"\0"
"""The byte that makes a joiner's stream known to the lane."""

Shown = Wanted | None


def quic(scene: Scene, shows: Shown) -> str:
    """The link lane on UDP: the alert it hangs up with."""
    certificate, key = (certificate_of(shows), shows.key) if shows else (None, None)
    address = str(scene.ca.host.v4.ip)
    with Stranger(scene.pair.lab["s"], address, LINK, certificate=certificate, key=key) as stranger:
        stranger.says(bytes(5))
        heard = stranger.listens()
    assert heard.stream == b"", "it spoke to a stranger"
    assert heard.closed is not None
    said = _ALERTS.get(heard.alert or 0, str(heard.closed))
    assert said != DENIED or heard.closed[1] == GENERAL_WORDS
    return said


def wss(scene: Scene, shows: Shown) -> str:
    """The link lane on TCP: the alert it hangs up with, after our part of the handshake is done."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([LINK])
    if shows:
        _show(context, shows)
    with inside(scene.pair.lab["s"].namespace):
        plain = socket.create_connection((str(scene.ca.host.v4.ip), PORT), PATIENCE)
    try:
        with context.wrap_socket(plain) as tls:
            tls.sendall(UPGRADE)
            return f"it answered {tls.recv(1000)!r}"
    except ssl.SSLError as error:
        words = str(error.reason).lower().replace("_", " ")
        return next((each for each in (DENIED, WANTED) if each in words), words)


def session(scene: Scene, shows: Shown) -> str:
    """A session over the rogue's good link: the alert it ends with."""
    made = Session([scene.link], shows=shows, anonymous=shows is None)
    code, words = made.waits_closed()
    assert not made.heard.greeted, "it spoke to a stranger"
    return _ALERTS.get(code - ALERTS.start, words)


def join(scene: Scene, shows: Shown) -> bytes:
    """The join lane, where the certificate is shown in a request for the next one: all it says after its greeting."""
    with Stranger(scene.pair.lab["s"], str(scene.ca.host.v4.ip), JOIN, marked=True) as stranger:
        stranger.says(KNOCK)
        greeting = len(stranger.listens(enough=4).stream)
        asked = renewal(shows) if shows else b"let me in"
        stranger.says(len(asked).to_bytes(4) + asked)
        # Whoever is answered stays on the line; whoever is not is hung up on.
        return stranger.listens(enough=greeting + 4).stream[greeting:]


def renewal(shows: Wanted) -> bytes:
    """A request for the next certificate after that one, signed by its key."""
    name, _, ca_hash = shows.label.partition(".")
    payload = pack(Renewal(VERSION, certificate_of(shows).public_bytes(Encoding.DER), secrets.token_bytes(16)))
    return seal(ObjectKind.RENEWAL, Network(name, ca_hash), payload, shows.key)


LINKS: Final[dict[str, Callable[[Scene, Shown], str]]] = {"quic": quic, "wss": wss, "session": session}
"""The lanes on which both ends prove who they are."""


def _show(context: ssl.SSLContext, shows: Wanted) -> None:
    pem = certificate_of(shows).public_bytes(Encoding.PEM)
    key = shows.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with TemporaryDirectory() as place:
        path = Path(place, "shown.pem")
        path.write_bytes(pem + key)
        context.load_cert_chain(path)
