"""`pulse forward`: ports of this machine that lead to what is behind other nodes, until Ctrl-C.

Invariant: no byte of a connection passes through here: the node of this machine is handed its socket.
"""

import contextlib
import select
import sys
from pathlib import Path
from typing import Annotated, Never

from cyclopts import Parameter

from pulse import tunnels
from pulse.cli.values import DataDir
from pulse.core import addresses
from pulse.core.network.destinations import parse_destination
from pulse.errors import ConfigError, LinkError, PulseError
from pulse.forwarding import HERE, Forward, Switch, listening

Nodes = Annotated[list[str], Parameter(help="The node: its name, its mesh address, or the first digits of its id.")]
Destinations = Annotated[list[str], Parameter(help="host:port as that node sees it, such as localhost:5432.")]
Locals = Annotated[
    list[str] | None, Parameter(help="[host]:port to listen on here (127.0.0.1 and the destination's port).")
]


Reverse = Annotated[
    bool, Parameter(help="The other way: --local is listened on at the node (loopback), --dest is reached from here.")
]


def forward(
    *, node: Nodes, dest: Destinations, local: Locals = None, reverse: Reverse = False, data_dir: DataDir = None
) -> None:
    """Have ports here lead to what is behind nodes.

    Until Ctrl-C. Several at a time: say --node, --dest and --local once for each; one --node serves all.

    More: pulse help services
    """
    wanted = _forwards(node, dest, local or [])
    if reverse:
        _lead_back(wanted, data_dir)
    for each in wanted:
        tunnels.check(each.node, str(each.destination), data_dir)
    with contextlib.ExitStack() as held:
        listeners = [(held.enter_context(listening(each)), each) for each in wanted]
        for listener, each in listeners:
            where = addresses.join(*listener.getsockname()[:2])
            print(f"{where} leads to {each.destination} on {each.node}", flush=True)
        print("Ctrl-C ends it.", flush=True)
        Switch(data_dir, _say).serve(listeners)


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


def _say(wanted: Forward, error: PulseError) -> None:
    print(f"{wanted.where}: {error}", file=sys.stderr, flush=True)
