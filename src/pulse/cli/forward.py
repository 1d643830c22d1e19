"""`pulse forward`: ports of this machine that lead to what is behind other nodes, until Ctrl-C.

Invariant: no byte of a connection passes through here: the node of this machine is handed its socket.
"""

import contextlib
import errno
import select
import selectors
import socket
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Never

from cyclopts import Parameter

from pulse import tunnels
from pulse.cli.values import DataDir
from pulse.core import addresses
from pulse.core.network.destinations import Destination, parse_destination
from pulse.errors import ConfigError, Conflict, LinkError, PulseError, SystemRefused

HERE: Final = "127.0.0.1"

MOST: Final = 512
"""Connections at once; who comes then is turned away."""

Nodes = Annotated[list[str], Parameter(help="The node: its name, its mesh address, or the first digits of its id.")]
Destinations = Annotated[list[str], Parameter(help="host:port as that node sees it, such as localhost:5432.")]
Locals = Annotated[
    list[str] | None, Parameter(help="[host]:port to listen on here (127.0.0.1 and the destination's port).")
]


@dataclass(frozen=True, slots=True)
class Forward:
    """One port here, and where it leads."""

    node: str
    destination: Destination
    host: str
    port: int


Reverse = Annotated[
    bool, Parameter(help="The other way: --local is listened on at the node (loopback), --dest is reached from here.")
]


def forward(
    *, node: Nodes, dest: Destinations, local: Locals = None, reverse: Reverse = False, data_dir: DataDir = None
) -> None:
    """Have ports of this machine lead to what is behind other nodes, until Ctrl-C.

    Several at a time: say --node, --dest and --local once for each; one --node serves all.
    """
    wanted = _forwards(node, dest, local or [])
    if reverse:
        _lead_back(wanted, data_dir)
    for each in wanted:
        tunnels.check(each.node, str(each.destination), data_dir)
    with contextlib.ExitStack() as held:
        listeners = [(held.enter_context(_listening(each)), each) for each in wanted]
        for listener, each in listeners:
            where = addresses.join(*listener.getsockname()[:2])
            print(f"{where} leads to {each.destination} on {each.node}", flush=True)
        print("Ctrl-C ends it.", flush=True)
        _Switch(data_dir).serve(listeners)


def _forwards(nodes: list[str], destinations: list[str], locals_: list[str]) -> list[Forward]:
    count = len(destinations)
    if len(nodes) not in (1, count) or len(locals_) not in (0, count):
        raise ConfigError(
            f"{count} --dest, {len(nodes)} --node and {len(locals_)} --local do not go together.\n"
            "Say --dest once for each forward, --node once or as often, and --local not at all or as often"
        )
    every = nodes * count if len(nodes) == 1 else nodes
    places = locals_ or [""] * count
    return [_forward(*each) for each in zip(every, destinations, places, strict=True)]


def _forward(node: str, typed: str, local: str) -> Forward:
    destination = parse_destination(typed)
    try:
        host, port = addresses.split(local) if local else (HERE, destination.port)
    except ValueError as error:
        raise ConfigError(f"--local: {error}") from error
    return Forward(node, destination, host or HERE, port)


def _lead_back(wanted: list[Forward], data_dir: Path | None) -> Never:
    """Ports of nodes lead here for as long as we hold what the node here gave us for each."""
    if elsewhere := next((each.host for each in wanted if each.host != HERE), ""):
        raise ConfigError(f"--local {elsewhere}: with --reverse a node listens on its loopback alone. Say :port")
    with contextlib.ExitStack() as held:
        ending = select.poll()
        places: dict[int, Forward] = {}
        for each in wanted:
            leading = held.enter_context(tunnels.lead_back(each.node, each.port, str(each.destination), data_dir))
            places[leading.fileno()] = each
            ending.register(leading, select.POLLIN)
            print(f"{HERE}:{each.port} on {each.node} leads to {each.destination} here", flush=True)
        print("Ctrl-C ends it.", flush=True)
        over = places[ending.poll()[0][0]]
    raise LinkError(f"{over.node} listens no more on port {over.port}: it is gone, or the rules changed")


def _listening(wanted: Forward) -> socket.socket:
    where = addresses.join(wanted.host, wanted.port)
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    try:
        made = socket.create_server((wanted.host, wanted.port), family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"another program listens on {where} already. Choose another port: --local {HERE}:<port>"
            ) from error
        raise SystemRefused(f"cannot listen on {where}: {error.strerror or error}") from error
    made.setblocking(False)
    return made


@dataclass(slots=True)
class _Switch:
    """Hands every connection to the node here, and hears what becomes of it."""

    data_dir: Path | None
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _open: int = 0

    def serve(self, listeners: list[tuple[socket.socket, Forward]]) -> None:
        """Until somebody ends it."""
        for listener, wanted in listeners:
            self._selector.register(listener, selectors.EVENT_READ, wanted)
        while True:
            for key, _ in self._selector.select():
                # Only sockets are registered here; the selector's types have descriptors, too.
                match key.data:
                    case Forward() as wanted:
                        self._take_in(key.fileobj, wanted)  # type: ignore[arg-type]
                    case (socket.socket() as caller, Forward() as wanted):
                        self._hear(key.fileobj, caller, wanted)  # type: ignore[arg-type]

    def _take_in(self, listener: socket.socket, wanted: Forward) -> None:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        try:
            if self._open >= MOST:
                raise Conflict(f"{MOST} connections are open already, and that is all there may be")
            asking = tunnels.hand_over(wanted.node, str(wanted.destination), caller, self.data_dir)
        except PulseError as error:
            _fail(caller, wanted, error)
            return
        self._open += 1
        self._selector.register(asking, selectors.EVENT_READ, (caller, wanted))

    def _hear(self, asking: socket.socket, caller: socket.socket, wanted: Forward) -> None:
        """The first answer says that the connection leads there, or why it does not; the second that it is over."""
        try:
            answer = tunnels.read_answer(asking)
        except PulseError as error:
            _fail(caller, wanted, error)
        else:
            # The node has it: with ours open, too, its end would not be seen.
            caller.close()
            if answer.ok:
                return
        self._selector.unregister(asking)
        asking.close()
        self._open -= 1


def _fail(caller: socket.socket, wanted: Forward, error: PulseError) -> None:
    """Whoever connected sees a reset, and whoever runs this the reason."""
    if caller.fileno() >= 0:
        with contextlib.suppress(OSError):
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.close()
        print(f"{addresses.join(wanted.host, wanted.port)}: {error}", file=sys.stderr, flush=True)
