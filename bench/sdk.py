"""How long a program waits for a node inside it: made, joined with an invite, started again, and its first connection.

All on loopback in one process; the join is measured while nothing else happens there. Prints medians and the worst.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pulse.sdk import Caller, Node

QUIET: dict[str, Any] = {"portmap": False, "beacon": False, "addr": "127.0.0.1:0"}


class Figures:
    """Seconds by what took them."""

    def __init__(self) -> None:
        """None yet."""
        self.found: dict[str, list[float]] = {}

    @asynccontextmanager
    async def timed(self, what: str) -> AsyncIterator[None]:
        """Time the block."""
        begun = time.monotonic()
        yield
        self.found.setdefault(what, []).append(time.monotonic() - begun)

    def print(self) -> None:
        """One line for each, and all medians in the last one, in seconds."""
        for what, seconds in self.found.items():
            median, worst = statistics.median(seconds), max(seconds)
            print(f"{what:<36} median {median * 1000:7.1f} ms   worst {worst * 1000:7.1f} ms   of {len(seconds)}")
        print(json.dumps({what: round(statistics.median(seconds), 4) for what, seconds in self.found.items()}))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Caller) -> None:
    """Say back what comes."""
    while data := await reader.read(65536):
        writer.write(data)


async def once(place: Path, figures: Figures) -> None:
    """One network."""
    first = Node.found("bench", place / "first", **QUIET)
    async with figures.timed("a network made"):
        one = await first.__aenter__()
    invite = await one.invite()
    server = await one.start_server(echo, 0)
    second = Node.join(invite, data_dir=place / "second", **QUIET)
    async with figures.timed("joined with an invite, and ready"):
        two = await second.__aenter__()
    async with figures.timed("first connection, with its session"):
        reader, writer = await two.open_connection(one.me.id, server.port)
    for _ in range(20):
        async with figures.timed("one byte there and back"):
            writer.write(b"x")
            await reader.readexactly(1)
    async with figures.timed("another connection"):
        await two.open_connection(one.me.id, server.port)
    await second.__aexit__()
    again = Node.start(place / "second", **QUIET)
    async with figures.timed("started again, and ready"):
        await again.__aenter__()
    await again.__aexit__()
    await first.__aexit__()


async def main(runs: int) -> None:
    """So many networks, one after the other."""
    figures = Figures()
    for _ in range(runs):
        with tempfile.TemporaryDirectory(dir="/tmp") as place:
            await once(Path(place), figures)
    figures.print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    asyncio.run(main(parser.parse_args().runs))
