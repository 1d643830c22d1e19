"""pulse for programs: connections through the mesh by name, without root and without a TUN device.

    async with connect() as mesh:
        reader, writer = await mesh.open_connection("db-server", 5432)

This is the one package whose front has names, for programs that need to learn nothing else of pulse. Each is loaded
when it is first asked for: the pytest plugin lives here too, and costs those nothing who do not use it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pulse.sdk.events import Events
    from pulse.sdk.mesh import Mesh, connect
    from pulse.sdk.node import Node
    from pulse.sdk.ports import Caller, Port, Server

__all__ = ["Caller", "Events", "Mesh", "Node", "Port", "Server", "connect"]

_HOMES: Final = {
    "Caller": "ports",
    "Events": "events",
    "Mesh": "mesh",
    "Node": "node",
    "Port": "ports",
    "Server": "ports",
    "connect": "mesh",
}


def __getattr__(name: str) -> Any:
    """The thing of that name, from the file that has it."""
    if name not in _HOMES:
        raise AttributeError(f"pulse.sdk has no {name}")
    return getattr(import_module(f"pulse.sdk.{_HOMES[name]}"), name)
