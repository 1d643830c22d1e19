"""A member gone bad: it has a good certificate and the protocol by heart, and keeps none of its rules.

It lives in this process, on one UDP socket of a lab host; a thread of its own keeps its links up meanwhile.
Invariant: it decides nothing; what is said, sent, passed on or swallowed is what a test wants.
"""

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from types import TracebackType
from typing import Final, Self

from aioquic._buffer import Buffer
from aioquic.quic.packet import QuicPacketType, pull_quic_header

from pulse.core.types import NodeId
from pulse.lab.host import Host
from tests.e2e.forgery import Wanted
from tests.e2e.mesh import PATIENCE, PORT, Node
from tests.e2e.stranger import LINK
from tests.e2e.wire import RECORD
from tests.namespace import inside
from tests.security.frames import FRAME
from tests.security.link import Address, Link
from tests.security.talk import CONNECTION_ID, answering, calling

QUIC: Final = 0x40
"""First byte, at least, of a datagram of QUIC."""
TURN: Final = 0.02
"""Seconds between two looks at the timers."""
BATCH: Final = 256
RCVBUFFORCE: Final = 33
"""Of Linux; the socket module does not name it."""


class Rogue:
    """One bad member on a host, on the port its neighbours would dial."""

    def __init__(self, host: Host, shows: Wanted) -> None:
        self.host, self.shows = host, shows
        self.address = f"{host.v4.ip}:{PORT}"
        self.links: list[Link] = []
        self.turn = Condition()
        self.thrown: BaseException | None = None
        self._accepts: Callable[[Address], bool] = lambda _: False
        self._over = False
        with inside(host.namespace):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 8 << 20)
        self._socket.bind((str(host.v4.ip), PORT))
        self._thread = Thread(target=self._serve, name=f"rogue {host.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for link in self.links:
            link.hangs_up()
        self._over = True
        self._thread.join()
        self._socket.close()
        assert self.thrown is None, self.thrown

    @property
    def handle(self) -> str:
        """Its IPv4 address in the mesh."""
        return self.shows.addresses[0]

    def dials(self, node: Node, prepared: Callable[[Link], None] = lambda _: None) -> Link:
        """Link with a node, `prepared` before the first word; raises ConnectionRefusedError if it would not."""
        with self.turn:
            talk = calling(LINK, self.shows)
            link = self._made(Link(self.turn, self._send, self.shows, talk), (str(node.host.v4.ip), PORT))
            prepared(link)
            talk.connect(link.remote, time.monotonic())
            link.flush()
        link.waits_up()
        return link

    def welcomes(self, accepts: Callable[[Address], bool] = lambda _: True) -> None:
        """Take links that others dial from now on, from those addresses."""
        self._accepts = accepts

    def link_with(self, node: NodeId) -> Link:
        """Wait for a link with that node, whoever dials it."""
        with self.turn:
            found = self.turn.wait_for(lambda: self._live(node), PATIENCE)
        assert found is not None
        return found

    @contextmanager
    def elsewhere(self) -> Iterator[socket.socket]:
        """Another socket on its host, that it does not listen to."""
        with inside(self.host.namespace):
            other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with other:
            yield other

    # The thread

    def _serve(self) -> None:
        try:
            while not self._over:
                select.select([self._socket], [], [], TURN)
                with self.turn:
                    self._turn()
                    self.turn.notify_all()
        except BaseException as error:
            self.thrown = error
            raise

    def _turn(self) -> None:
        for _ in range(BATCH):
            try:
                data, source = self._socket.recvfrom(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                continue
            self._take(data, source)
        now = time.monotonic()
        for link in self.links:
            link.wake(now)
            link.flush()

    def _take(self, data: bytes, source: Address) -> None:
        if data[0] >= QUIC:
            self._take_quic(data, source)
        elif data[0] == FRAME and (link := self._receiving(int.from_bytes(data[4:8]))):
            link.take_frame(data)
        elif data[0] == RECORD:
            for take in [take for link in self.links for take in link.record_takers]:
                take(data)

    def _take_quic(self, data: bytes, source: Address) -> None:
        header = pull_quic_header(Buffer(data=data), host_cid_length=CONNECTION_ID)
        for link in self.links:
            if link.talk.is_addressed(header.destination_cid):
                return link.take_datagram(data, source)
        if header.packet_type is QuicPacketType.INITIAL and self._accepts(source):
            talk = answering(LINK, self.shows, header.destination_cid)
            self._made(Link(self.turn, self._send, self.shows, talk), source).take_datagram(data, source)

    # Details

    def _made(self, link: Link, remote: Address) -> Link:
        link.remote = remote
        self.links.append(link)
        return link

    def _receiving(self, index: int) -> Link | None:
        return next((link for link in self.links if link.index == index), None)

    def _live(self, node: NodeId) -> Link | None:
        found = (each for each in self.links if each.is_up and each.peer and each.peer.node_id == node)
        return next(found, None)

    def _send(self, data: bytes, target: Address) -> None:
        try:
            self._socket.sendto(data, target)
        except OSError:
            # A full socket or an unreachable peer is loss, as it is to any node.
            return
