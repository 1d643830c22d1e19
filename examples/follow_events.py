"""Print what happens in the mesh, as it happens: `python follow_events.py`."""

import asyncio

from pulse.sdk import connect


async def main() -> None:
    async with connect() as mesh:
        async for event in mesh.events():
            print(event.type, event.name, event.fields, flush=True)


asyncio.run(main())
