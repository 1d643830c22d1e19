"""A process that has no descriptor left, and who comes meanwhile."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator

import pytest

from tests.loopback import PATIENCE

TOLD = (
    "Too many open files.\n"
    "Allow the node more (LimitNOFILE= in its unit, or ulimit -n before it starts), or close connections"
)


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Meanwhile nothing more can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def untaken(caplog: pytest.LogCaptureFixture) -> list[tuple[object, object]]:
    """Where connections were not taken in, and why, each time that this was told."""
    records = [vars(each) for each in caplog.records if each.message == "connections not taken in"]
    assert all(each["levelname"] == "WARNING" for each in records)
    return [(each["listen"], each["error"]) for each in records]


async def come_meanwhile(caller: socket.socket, address: tuple[str, int] | str, log: pytest.LogCaptureFixture) -> None:
    """Connect while none is left, until that is told."""
    async with asyncio.timeout(PATIENCE):
        with no_descriptors():
            caller.connect(address)
            while not untaken(log):
                await asyncio.sleep(0.005)
