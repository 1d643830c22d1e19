"""Fetch a page from a node by its name under .pulse: `python httpx_call.py http://db-server.pulse:8000/`."""

import asyncio
import sys

import httpx

from pulse.sdk import connect
from pulse.sdk.httpx import MeshTransport


async def main(url: str) -> None:
    async with connect() as mesh, httpx.AsyncClient(transport=MeshTransport(mesh)) as client:
        print((await client.get(url)).text)


asyncio.run(main(sys.argv[1]))
