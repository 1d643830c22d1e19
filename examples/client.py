"""Say something to a port of a node, and print the answer: `python client.py db-server 7777 hello`."""

import asyncio
import sys

from pulse.sdk import connect


async def main(node: str, port: str, words: str) -> None:
    async with connect() as mesh:
        reader, writer = await mesh.open_connection(node, int(port))
        writer.write(words.encode())
        writer.write_eof()
        print((await reader.read()).decode())


asyncio.run(main(*sys.argv[1:]))
