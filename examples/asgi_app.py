"""A web application that only the mesh can reach, and that knows who asks: `python asgi_app.py 8000`."""

import asyncio
import sys

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from pulse.sdk import connect
from pulse.sdk.asgi import serve


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await PlainTextResponse(f"hello, {scope['client'][0]}")(scope, receive, send)


async def main() -> None:
    async with connect() as mesh:
        await serve(app, mesh, int(sys.argv[1]), ready=lambda port: print(f"port {port}", flush=True))


asyncio.run(main())
