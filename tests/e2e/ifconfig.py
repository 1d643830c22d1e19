"""A site on a lab host that tells each who comes, over HTTPS, at which address it is seen: as ifconfig.me does."""

import sys
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pulse.lab.host import Host, wait_until
from tests.e2e.mesh import PATIENCE

NAME: Final = "ifconfig.me"

_SERVE: Final = """
import socket, ssl, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        said = self.client_address[0].removeprefix("::ffff:").encode() + b"\\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server = Server(("::", 443), Site)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("it serves", flush=True)
server.serve_forever()
"""


def serves_addresses(host: Host, *clients: Host) -> None:
    """Let the site be at that host; curl of the clients takes its certificate for good."""
    pem = host.directory / "site.pem"
    pem.write_bytes(_certificate())
    running = host.popen([sys.executable, "-c", _SERVE, str(pem)])
    wait_until(lambda: "it serves" in running.text(), f"{NAME} serves", PATIENCE)
    for each in clients:
        (each.directory / ".curlrc").write_text(f"cacert = {pem}\nsilent\nshow-error\nmax-time = {PATIENCE:g}\n")


def _certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(datetime(2000, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + private
