"""Ports of this node that lead to programs of this machine: each connection is handed to the program as a socket.

The counterpart of `reverse`: there a node has another one listen, here a program has this one. Invariant: a port leads
to one program, or to what listens there on this machine, never to both; it is given back when its program is gone.
"""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pulse.core.mesh import Mesh
from pulse.core.network import streamcodes, tunnelline
from pulse.core.network.explain import called
from pulse.core.network.patterns import TAG, Subject
from pulse.core.network.policy import TCP
from pulse.core.network.rulebook import Rulebook
from pulse.core.network.streamcodes import StreamCode
from pulse.core.network.tunnelline import Answered, Called
from pulse.core.types import NodeId
from pulse.errors import Conflict, Refused, StreamFailed
from pulse.net.links import Moved
from pulse.net.sockets import PRIVILEGED

log = logging.getLogger(__name__)

MOST: Final = 256
"""Ports that programs have together."""

Handed = tuple[socket.socket, Callable[[Moved], None]]
"""What leads to a program, and who tells it how that ended."""


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

    def connect(self, node: NodeId, port: int) -> Handed | None:
        """What leads to the program that has that port, which is told who calls; None if none has it.

        Raises StreamFailed if it takes no more.
        """
        program = self._programs.get(port)
        if program is None:
            return None
        with contextlib.ExitStack() as held:
            ours, theirs = socket.socketpair()
            telling, told = socket.socketpair()
            given = [held.enter_context(each) for each in (theirs, told)]
            try:
                line = tunnelline.line_of(self._called(node))
                socket.send_fds(program, [line], [each.fileno() for each in given])
            except OSError as error:
                ours.close()
                telling.close()
                log.debug("a program takes no connection", extra={"port": port, "error": error.strerror})
                code = StreamCode.BUSY if isinstance(error, BlockingIOError) else StreamCode.REFUSED
                raise StreamFailed("the program takes no connection", code, code.word) from error
        telling.setblocking(False)
        return ours, partial(self._tell, telling, node, port)

    # Details

    def _called(self, node: NodeId) -> Called:
        members = self.mesh.members
        certificate = members.get(node)
        named = certificate is not None and members.rule_name(certificate) is not None
        return Called(node, members.label_of(node), named)

    def _tell(self, telling: socket.socket, node: NodeId, port: int, moved: Moved) -> None:
        """How the stream ended: the socket of a program shows a cut like an end."""
        line = tunnelline.line_of(Answered(sent=moved.sent, received=moved.received))
        if moved.cut:
            error = streamcodes.their_cut(streamcodes.code_of(moved.cut), self.mesh.members.named(node), port)
            line = tunnelline.refusal(error, moved.sent, moved.received)
        with telling, contextlib.suppress(OSError):
            telling.send(line)

    def _check(self, port: int) -> None:
        if not self.allowed:
            raise Refused(
                "this node lets no program have a port of it.\n"
                "Its owner allows it: [node] serve_programs = true in the configuration, then pulse reload"
            )
        if 0 < port < PRIVILEGED:
            raise Refused(
                f"port {port} is one of those below {PRIVILEGED}, at which people expect what root put there.\n"
                f"Take one from {PRIVILEGED} up, or 0 for any that is free"
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
                f"Allow it: pulse acl add --from {_callers(others)} --to {called(me)} --proto tcp --ports {port}"
            )


def _callers(others: Sequence[Subject]) -> str:
    """Whom a rule could let in: the other node, if there is but one; whose name rules do not know, by its tag."""
    if len(others) != 1:
        return "<node or tag:…>"
    other = others[0]
    return TAG + other.tags[0] if other.tags and not other.name else called(other)
