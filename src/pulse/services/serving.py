"""Ports of this node that lead to programs of this machine: each connection is handed to the program as a socket.

The counterpart of `reverse`: there a node has another one listen, here a program has this one. Invariant: a port leads
to one program, or to what listens there on this machine, never to both; it is given back when its program is gone.
"""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from pulse.core.mesh import Mesh
from pulse.core.network import tunnelline
from pulse.core.network.rulebook import Rulebook
from pulse.core.network.streamcodes import StreamCode
from pulse.core.network.tunnelline import Called
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import Conflict, Refused, StreamFailed

log = logging.getLogger(__name__)

LEAST_PORT: Final = 1024
"""Below it whoever connects trusts that root listens."""

MOST: Final = 256
"""Ports that programs have together."""

TCP: Final = 6


@dataclass(slots=True)
class ServingService:
    """Knows which program has which port."""

    mesh: Mesh
    allowed: bool
    """Programs may have ports at all."""
    reserved: Callable[[int], AbstractContextManager[int]]
    """Keeps a port of this machine from others meanwhile, any free one for 0; raises Conflict for one that is taken."""
    _programs: dict[int, socket.socket] = field(default_factory=dict, init=False)

    @contextlib.contextmanager
    def led(self, port: int, program: socket.socket) -> Iterator[int]:
        """The port leads to that program meanwhile; which one, if any free one will do (0).

        Raises Refused or Conflict.
        """
        self._check(port)
        with self.reserved(port) as taken:
            self._check_rules(taken)
            self._programs[taken] = program
            log.info("a program has a port", extra={"port": taken})
            try:
                yield taken
            finally:
                del self._programs[taken]
                log.info("a program gave its port back", extra={"port": taken})

    def connect(self, node: NodeId, port: int) -> socket.socket | None:
        """What leads to the program that has that port, which is told who calls; None if none has it.

        Raises StreamFailed if it takes no more.
        """
        program = self._programs.get(port)
        if program is None:
            return None
        ours, theirs = socket.socketpair()
        called = Called(node, self.mesh.members.label_of(node))
        with theirs:
            try:
                socket.send_fds(program, [tunnelline.line_of(called)], [theirs.fileno()])
            except OSError as error:
                ours.close()
                log.debug("a program takes no connection", extra={"port": port, "error": error.strerror})
                code = StreamCode.BUSY if isinstance(error, BlockingIOError) else StreamCode.REFUSED
                raise StreamFailed("the program takes no connection", code, code.word) from error
        return ours

    # Details

    def _check(self, port: int) -> None:
        if not self.allowed:
            raise Refused(
                "this node lets no program have a port of it.\n"
                "Its owner allows it: [node] serve_programs = true in the configuration, then pulse reload"
            )
        if 0 < port < LEAST_PORT:
            raise Refused(
                f"port {port} is one of those below {LEAST_PORT}, at which people expect what root put there.\n"
                f"Take one from {LEAST_PORT} up, or 0 for any that is free"
            )
        if port in self._programs:
            raise Conflict(f"another program has port {port} of this node. Take another one, or 0 for any that is free")
        if len(self._programs) >= MOST:
            raise Conflict(f"programs have {MOST} ports of this node, and that is all there may be. End one of them")

    def _check_rules(self, port: int) -> None:
        """Raise Refused if no node could ever call; what is not known yet is not held against anybody."""
        mesh = self.mesh
        me = mesh.subject(mesh.me.node_id)
        config = mesh.statements.config
        if me is None or config is None or not mesh.statements.in_force:
            return
        others = [each for each in mesh.subjects() if each.node != me.node]
        book = Rulebook(config.config.acl, mesh.subjects(), mesh.groups())
        if others and not any(book.allows(each, me, TCP, port) for each in others):
            raise Refused(
                f"the rules let no node reach {mesh.members.named(me.node)} at tcp/{port}.\n"
                f"Allow it: pulse acl add --from '*' --to {me.node[:SHORT_ID]} --proto tcp --ports {port}"
            )
