"""Who asks too often waits, whoever else asks has his turn, and nothing is saved up beyond the most."""

import asyncio
from typing import Any

from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from pulse.api import paced
from pulse.api.paced import MOST_WAITING, RATE_MOST, Paced


class Asked:
    """What is behind it."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        self.count += 1


def ask(app: Paced) -> tuple[asyncio.Task[None], list[dict[str, Any]]]:
    """A request, and what it hears."""
    heard: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        heard.append(message)

    return asyncio.get_running_loop().create_task(app({"type": "http"}, receive, send)), heard


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_so_many_are_handed_on_at_once_and_the_rest_at_its_turn() -> None:
    behind = Asked()
    app = Paced(behind, lambda: 100.0)
    many = [ask(app)[0] for _ in range(int(RATE_MOST) + 1)]
    await turns()
    assert behind.count == RATE_MOST

    for each in many:
        await each
    assert behind.count == RATE_MOST + 1


async def test_beyond_those_that_wait_one_is_told_to_come_again() -> None:
    behind = Asked()
    app = Paced(behind, lambda: 100.0)
    waiting = [ask(app)[0] for _ in range(int(RATE_MOST) + MOST_WAITING + 1)]
    await turns()
    last, heard = ask(app)
    await last
    for each in waiting:
        each.cancel()

    headers = dict(heard[0]["headers"])
    assert (heard[0]["status"], headers[b"connection"], headers[b"retry-after"]) == (503, b"close", b"5")
    assert paced.CROWDED.partition("\n")[0] in heard[1]["body"].decode()
    assert behind.count == RATE_MOST
