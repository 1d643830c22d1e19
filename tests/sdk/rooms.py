"""What tests of the SDK have in common: programs that answer, and descriptors that are counted."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pulse.sdk import Caller
from tests.loopback import PATIENCE


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Caller) -> None:
    """Answer in capitals, once all was said."""
    writer.write((await reader.read()).upper())


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: bytes = b"word") -> bytes:
    """Say a word and its end; all that is answered."""
    writer.write(word)
    writer.write_eof()
    async with asyncio.timeout(PATIENCE):
        said = await reader.read()
    writer.close()
    return said


def descriptors() -> int:
    """Files and sockets that this process has open: programs and both nodes."""
    return len(os.listdir("/proc/self/fd"))


@asynccontextmanager
async def leaving_nothing() -> AsyncIterator[None]:
    """Wait, at the end, until as many descriptors are open as at the beginning."""
    before = descriptors()
    yield
    async with asyncio.timeout(PATIENCE):
        while descriptors() > before:
            # Of a node that did not come up, what its parts hold of one another goes with them.
            gc.collect()
            await asyncio.sleep(0.01)
