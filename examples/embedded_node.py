"""Be a node for a moment, without a daemon: `python embedded_node.py pls_AQCa…Q ~/.my-program`."""

import asyncio
import sys

from pulse.sdk import Node


async def main(invite: str, data_dir: str) -> None:
    async with Node.join(invite, data_dir=data_dir, name="my-program") as mesh:
        print(f"{mesh.me.name} is {mesh.me.v4} in {mesh.me.network}")
        for node in await mesh.nodes():
            print(f"sees {node.name} at {node.v4}, {node.link}")


asyncio.run(main(*sys.argv[1:]))
