"""Supervision: a service that fails is run anew, and one that cannot run at all ends the node."""

import asyncio

import pytest

from pulse.assembly.supervision import MOST, kept
from pulse.errors import Conflict


class Failing:
    """A service that fails so often, and then serves."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left, self.runs, self.serving = failures, 0, asyncio.Event()
        self.error = error or KeyError("nobody foresaw this")

    async def run(self) -> None:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise self.error
        self.serving.set()
        await asyncio.Event().wait()


def nothing() -> None: ...


async def test_a_service_that_fails_is_told_and_run_anew(caplog: pytest.LogCaptureFixture) -> None:
    service, resumed = Failing(2), list[int]()
    running = asyncio.ensure_future(kept(service, lambda: resumed.append(service.runs), pause=0.0))
    async with asyncio.timeout(30):
        await service.serving.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert (service.runs, resumed) == (3, [1, 2])
    assert [(each.message, getattr(each, "service", "")) for each in caplog.records] == [
        ("service failed", "Failing")
    ] * 2
    assert all(each.exc_info for each in caplog.records)


async def test_a_service_that_does_not_run_at_all_ends_the_node_in_the_end() -> None:
    service = Failing(MOST + 1)
    with pytest.raises(KeyError):
        await kept(service, nothing, pause=0.0)
    assert service.runs == MOST


async def test_one_that_fails_now_and_then_never_does() -> None:
    service = Failing(MOST + 1)
    running = asyncio.ensure_future(kept(service, nothing, pause=0.0, lived=0.0))
    async with asyncio.timeout(30):
        await service.serving.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_what_is_wrong_on_this_machine_is_said_at_once() -> None:
    service = Failing(1, Conflict("the port is taken"))
    with pytest.raises(Conflict):
        await kept(service, nothing)
    assert service.runs == 1


async def test_one_that_is_done_is_not_run_again() -> None:
    class Done:
        async def run(self) -> None: ...

    async with asyncio.timeout(30):
        await kept(Done(), nothing)
