"""Say back what any node says to a port of this one: `python echo_server.py 7777`."""

import asyncio
import sys

from pulse.sdk import Caller, connect


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
    writer.write(f"{caller.name}: ".encode() + await reader.read())


async def main() -> None:
    async with connect() as mesh, await mesh.start_server(echo, int(sys.argv[1])) as server:
        print(f"port {server.port} of {mesh.me.name}", flush=True)
        await server.serve_forever()


asyncio.run(main())
