"""A node that answers from memory, on its control socket and over TCP, with real keys of every kind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pulse.api import web
from pulse.api.app import build
from pulse.api.server import ApiService, ControlSocket
from pulse.api.stream import PLACES, EventStream
from pulse.api.tcp import PatientProtocol, TcpListener, guarded
from pulse.schemas.apikeys import ApiKeyRequest
from pulse.schemas.events import EventInfo
from pulse.services.apikeys import ApiKeysService
from pulse.store.files import open_data_dir
from tests.api.fake_control import FakeControl, running
from tests.api.http import Answer, call, say

HOSTS = frozenset({"pulse.example.com", "10.100.41.7"})
JSON = "Content-Type: application/json"


class Silence:
    """A feed of a mesh in which nothing happens."""

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[EventInfo]]:
        yield self._nothing()

    async def _nothing(self) -> AsyncIterator[EventInfo]:
        await asyncio.Event().wait()
        for never in tuple[EventInfo, ...]():
            yield never


@dataclass(frozen=True)
class Doors:
    """Both, and who may come in."""

    control: FakeControl
    socket: Path
    address: tuple[str, int]
    keys: dict[str, str]
    """By what they are good for: `read`, `write`, `revoked` and `nobody`, which is no key, `local` for the socket."""
    service: ApiKeysService

    def ask(self, role: str, head: str, body: bytes = b"", host: str = "localhost") -> Answer:
        """One request in a role."""
        if role == "local":
            return say(self.socket, f"{head}\n{JSON}", body)
        return call(self.address, f"{head}\n{JSON}", body, self.keys[role], host)


def made(service: ApiKeysService) -> dict[str, str]:
    """A key of each kind."""

    async def make() -> dict[str, str]:
        keys = {
            "read": (await service.create(ApiKeyRequest("reads"))).key,
            "write": (await service.create(ApiKeyRequest("writes", "write"))).key,
            "revoked": (await service.create(ApiKeyRequest("gone", "write"))).key,
        }
        await service.revoke("gone")
        return keys

    return {**asyncio.run(make()), "nobody": "", "wrong": "plk_" + "A" * 43}


@contextmanager
def doors(place: Path, hosts: Callable[[], frozenset[str]] = lambda: HOSTS) -> Iterator[Doors]:
    """Serve in a directory, until the end of the block."""
    control = FakeControl()
    service = ApiKeysService(open_data_dir(place / "data"))
    keys = made(service)
    listener = TcpListener("127.0.0.1", 0)
    address = listener.socket.getsockname()[:2]
    stream = EventStream(Silence(), PLACES, "over TCP")
    service.tell_revoked(stream.keys_changed)
    app = guarded(build(control, keyed=True, stream=stream), service.judge, hosts, web.read())
    tcp = ApiService(app, listener, PatientProtocol, stream.close)
    with running(ApiService(build(control), ControlSocket(place / "pulse.sock"))), running(tcp):
        yield Doors(control, place / "pulse.sock", address, keys, service)
