"""A page in a real browser, with a key of the API in its hands, against the API on the visitor's machine."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pulse.api.app import build
from pulse.api.endpoints import GRANTED
from pulse.api.server import ApiService
from pulse.api.tcp import PatientProtocol, TcpListener
from pulse.calls.apikeys import ApiKeyCalls
from pulse.calls.tokens import TokenCalls
from pulse.client import Client
from pulse.core.trust.apikeys import Scope
from pulse.schemas.apikeys import ApiKeyRequest
from pulse.schemas.names import NameRequest, TagRequest
from pulse.schemas.node import NodeIdentity
from pulse.schemas.tokens import TokenInfo, TokenRequest
from tests.api.fake_control import FakeControl, running
from tests.api.fake_ways import ID
from tests.ports import free_port
from tests.security.browser import EVIL, REBOUND, UNGUARDED, EvilServer, visit
from tests.test_node import FOUND, Machine

WAYS = 17
"""What the page tries."""


@dataclass(frozen=True)
class Victim:
    """A scribe that runs, and a key that may write."""

    machine: Machine
    port: int
    key: str
    node: str

    async def visited(self, host: str, flags: Sequence[str]) -> EvilServer:
        """Its owner visits the page."""
        return await asyncio.to_thread(visit, ("127.0.0.1", self.port), self.key, self.node, flags, host)

    async def state(self) -> tuple[NodeIdentity, list[TokenInfo]]:
        """What the page would change."""

        def asked(client: Client) -> tuple[NodeIdentity, list[TokenInfo]]:
            return client.identity(), TokenCalls(client).list_tokens()

        return await self.machine.ask(asked)


@pytest.fixture
async def victim() -> AsyncIterator[Victim]:
    with TemporaryDirectory(prefix="pulse-", dir="/tmp") as place:
        machine, port = Machine("first", Path(place), free_port()), free_port()
        async with machine.runs(**FOUND, **{"scribe-listen": f"127.0.0.1:{port}"}) as started:
            wanted = ApiKeyRequest("stolen", "write")
            made = await machine.ask(lambda client: ApiKeyCalls(client).create_api_key(wanted))
            yield Victim(machine, port, made.key, started.node.id)


def read(report: dict[str, str]) -> dict[str, str]:
    """What the page got."""
    return {way: got for way, got in report.items() if got.startswith("read")}


@pytest.mark.parametrize("host", [EVIL, REBOUND])
@pytest.mark.parametrize("flags", [(), UNGUARDED], ids=["browser", "unguarded browser"])
async def test_a_page_gets_nothing_and_changes_nothing(victim: Victim, host: str, flags: Sequence[str]) -> None:
    before = await victim.state()

    server = await victim.visited(host, flags)

    assert len(server.report) == WAYS
    assert read(server.report) == {}
    assert await victim.state() == before
    if host == REBOUND:
        assert len(server.passed_on) >= WAYS - 1


def test_the_same_page_gets_all_it_wants_where_nobody_is_kept_out() -> None:
    """So the test above can fail: an API without guards is read and changed by this very page."""
    control = FakeControl()
    app = build(control, keyed=True)

    async def naked(scope: dict[str, object], receive: object, send: object) -> None:
        await app({**scope, GRANTED: Scope.WRITE}, receive, send)  # type: ignore[arg-type]

    listener = TcpListener("127.0.0.1", 0)
    address = listener.socket.getsockname()[:2]
    with running(ApiService(naked, listener, PatientProtocol)):  # type: ignore[arg-type]
        server = visit(address, "plk_", ID, host=REBOUND)

    wanted = {"fetch", "fetch with a key", "post json", "put with a key", "xhr with a key", "frame"}
    assert wanted <= set(read(server.report))
    assert {type(each) for each in control.asked} >= {TagRequest, NameRequest, TokenRequest}
