"""A wait of an event loop for a socket whose bytes are somebody else's: none is read.

Node and SDK both wait so; asyncio's own streams would take what comes.
"""

import asyncio
import socket


async def readable(connection: socket.socket) -> None:
    """Wait until there is something to read, or the end of it."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    # The number is the socket's no longer once somebody else, as the data plane, has taken it over.
    number = connection.fileno()
    loop.add_reader(number, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(number)
