"""Traffic between two hosts from sockets of this very process, every byte checked.

Invariant: what comes back is compared with what left, so a check that holds means each way was whole.
"""

import hashlib
import random
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pulse.lab.host import Host
from tests.e2e.mesh import PATIENCE, Node
from tests.namespace import inside

END = b"end of flow"
DIGEST = hashlib.sha256().digest_size
PIECE = 1 << 20
SILENCE = 5.0
"""Seconds without an answer that mean no: on a quiet machine an answer comes in milliseconds."""


def noise(seed: str, size: int) -> bytes:
    """Bytes that look random, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def open_socket(host: Host, address: str, kind: socket.SocketKind, port: int = 0) -> socket.socket:
    """A socket on that host, bound to one of its addresses."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(host.namespace):
        made = socket.socket(family, kind)
    made.settimeout(PATIENCE)
    made.bind((address, port))
    return made


@contextmanager
def serving(node: Node, port: int) -> Iterator[socket.socket]:
    """Listen on a TCP port at a node's mesh address."""
    with open_socket(node.host, node.v4, socket.SOCK_STREAM, port) as listener:
        listener.listen()
        yield listener


def connects(source: Node, destination: Node, port: int) -> bool:
    """True if a TCP connection opens."""
    with serving(destination, port), open_socket(source.host, source.v4, socket.SOCK_STREAM) as client:
        client.settimeout(SILENCE)
        try:
            client.connect((destination.v4, port))
        except OSError:  # silence, or a word that it is not allowed
            return False
        return True


@contextmanager
def echoing(host: Host, address: str) -> Iterator[int]:
    """Send every datagram back to where it came from; the port to send to."""
    with open_socket(host, address, socket.SOCK_DGRAM) as listener:
        echo = threading.Thread(target=_echo, args=(listener,))
        echo.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with open_socket(host, address, socket.SOCK_DGRAM) as last:
                last.sendto(END, listener.getsockname())
            echo.join()


def _echo(listener: socket.socket) -> None:
    listener.settimeout(None)
    while True:
        data, sender = listener.recvfrom(65_536)
        if data == END:
            return
        listener.sendto(data, sender)


@contextmanager
def digesting(host: Host, address: str, flows: int) -> Iterator[int]:
    """Take that many TCP connections and answer each, at its end, with the hash of all it brought; the port."""
    with open_socket(host, address, socket.SOCK_STREAM) as listener, ThreadPoolExecutor(flows) as pool:
        listener.listen(flows)
        pool.submit(_serve, listener, flows, pool)
        yield listener.getsockname()[1]


def _serve(listener: socket.socket, flows: int, pool: ThreadPoolExecutor) -> None:
    for _ in range(flows - 1):
        pool.submit(_digest, listener.accept()[0])
    _digest(listener.accept()[0])


def _digest(connection: socket.socket) -> None:
    digest = hashlib.sha256()
    with connection:
        while data := connection.recv(1 << 18):
            digest.update(data)
        connection.sendall(digest.digest())


def connected(host: Host, source: str, target: tuple[str, int]) -> socket.socket:
    """A TCP connection from an address of that host."""
    made = open_socket(host, source, socket.SOCK_STREAM)
    made.connect(target)
    return made


def arrives_whole(connection: socket.socket, data: bytes, already: bytes = b"") -> bool:
    """Send `data` and end; true if the far end's hash is that of what was sent already and of this."""
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    return connection.recv(DIGEST, socket.MSG_WAITALL) == hashlib.sha256(already + data).digest()


@contextmanager
def unharmed_flow(source: Node, target: Node) -> Iterator[None]:
    """A TCP stream from one node to another that goes on meanwhile, and must arrive whole."""
    there = target.v4
    with digesting(target.host, there, 1) as port, connected(source.host, source.v4, (there, port)) as flow:
        before, after = noise("before", PIECE), noise("after", PIECE)
        flow.sendall(before)
        yield
        assert arrives_whole(flow, after, already=before)
