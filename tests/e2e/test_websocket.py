"""UDP is blocked, at the start or in mid-session: the mesh goes on over WebSockets, and back once UDP gets through.

Invariant: a TCP connection inside the mesh lives through every change.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from pulse.lab import stream
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.transfer import measure
from tests.e2e.mesh import PATIENCE, Node, Pair, bring_up
from tests.namespace import require_root

PACE = 20.0
SIZE = 4 << 20

UPGRADE_PATIENCE = 60.0
"""Twice what it may take: UDP is tried every 25 s."""

BLOCKED = "table inet firewall {\nchain in {\ntype filter hook input priority 0\nmeta l4proto udp drop\n}\n}\n"

ASK = """
import socket, ssl, sys
address, port, path, *alpn = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if alpn:
    context.set_alpn_protocols(alpn)
try:
    with context.wrap_socket(socket.create_connection((address, int(port)), 10)) as tls:
        tls.sendall((f"GET {path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n"
            "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n").encode())
        print(tls.recv(1000))
        if path == "/pulse/join":
            tls.sendall(bytes([0x89, 0x80, 0, 0, 0, 0]))
            while tls.recv(1000):
                pass
            print("hung up")
except OSError as error:
    print(error)
"""
"""What a stranger with a TLS library asks: address, port, path, ALPN names; prints the answer, or why there is none.

Once it may join it sends a ping, as no node does."""


@contextmanager
def without_udp(node: Node) -> Iterator[None]:
    """Meanwhile the node's machine hears no UDP."""
    node.host.run(["nft", "-f", "-"], stdin=BLOCKED)
    try:
        yield
    finally:
        node.host.run(["nft", "delete", "table", "inet", "firewall"])


def is_linked_by(node: Node, other: Node, transport: str) -> bool:
    """True if the node says that its path to the other is that kind of link."""
    return node.has_path(other) and node.sees(other).link == transport


def wait_transport(pair: Pair, wanted: str, patience: float = PATIENCE) -> None:
    """Wait until both ends say that they are linked that way."""
    for node, other in ((pair.ca, pair.member), (pair.member, pair.ca)):
        wait_until(partial(is_linked_by, node, other, wanted), f"{node.host.name} is linked by {wanted}", patience)


@pytest.fixture
def blocked(lab: Lab) -> Iterator[Pair]:
    """A member that joined, and is linked, while its machine heard no UDP; the firewall goes with the test."""
    ca, member = Node(lab["a"]), Node(lab["b"])
    ca.start("--ca", "--scribe", "--network", "test")
    with without_udp(member):
        said = member.host.pulse("join", member.way_to(ca), "--token", ca.token()).stdout
        assert "(websocket, " in said
        member.start()
        pair = Pair(lab, ca, member)
        wait_transport(pair, "websocket")
        yield pair
        assert pair.errors == []


def test_a_member_joins_and_works_where_udp_is_blocked(blocked: Pair) -> None:
    assert blocked.ca.reaches(blocked.member)
    for sender, receiver in ((blocked.ca, blocked.member), (blocked.member, blocked.ca)):
        assert measure(sender.host, receiver.host, receiver.v4, SIZE).hash_equal


def test_it_is_quic_once_udp_gets_through_and_a_websocket_again_when_not(lab: Lab) -> None:
    require_root()
    pair = bring_up(lab)
    wait_transport(pair, "quic")
    under_way = stream.begin(pair.member.host, pair.ca.host, pair.ca.v4, mbit=PACE)
    with without_udp(pair.member):
        under_way.wait_moving(SIZE)
        wait_transport(pair, "websocket")
        under_way.wait_moving(SIZE)
    wait_transport(pair, "quic", UPGRADE_PATIENCE)
    under_way.wait_moving(SIZE)
    assert under_way.finish().hash_equal
    assert pair.errors == []


def test_who_is_no_node_gets_nothing_on_the_tcp_port(pair: Pair) -> None:
    """A browser, a scanner: TLS without an ALPN of ours is refused, and so is a path of another lane."""

    def asks(path: str, *alpn: str) -> str:
        address, port = pair.ca.underlay.split(":")
        command = [sys.executable, "-c", ASK, address, port, path, *alpn]
        return pair.member.host.run(command).stdout

    joining = asks("/pulse/join", "pulse-join/1")
    assert "101 Switching Protocols" in joining
    assert "hung up" in joining, "a ping, of which a flood would be answered without end, ends it"
    assert "404 Not Found" in asks("/pulse/link", "pulse-join/1")
    assert "HTTP/1.1" not in asks("/pulse/link", "pulse-link/1")
    assert "HTTP/1.1" not in asks("/pulse/join", "http/1.1")
    assert "HTTP/1.1" not in asks("/pulse/join")
    assert pair.ca.reaches(pair.member)
