"""httpx through the mesh: `http://db-server.pulse:8080/` without DNS, proxy or TUN device.

Invariant: a host is found by the node here, and by nothing else; what is not in the mesh is refused, never tried
elsewhere. Needs httpx, the extra of that name.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import httpcore
import httpx

from pulse.errors import PulseError
from pulse.sdk.mesh import Mesh

_ERRORS: Final[tuple[tuple[type[Exception], type[httpx.TransportError]], ...]] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
)


class MeshTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient(transport=MeshTransport(mesh))`; connections are kept and used again.

    `verify` is what https is checked by, as httpx has it. A host that is not reached raises httpx.ConnectError with the
    words of pulse, whose `__cause__` is the error of `pulse.errors`.
    """

    def __init__(self, mesh: Mesh, verify: ssl.SSLContext | bool = True) -> None:
        """Through this mesh."""
        context = verify if isinstance(verify, ssl.SSLContext) else httpx.create_ssl_context(verify=verify)
        self._pool = httpcore.AsyncConnectionPool(ssl_context=context, network_backend=_Backend(mesh))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        wanted = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _translated():
            answer = await self._pool.handle_async_request(wanted)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """End all connections."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects to nodes."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        del local_address, socket_options
        async with _timely(timeout, httpcore.ConnectTimeout):
            try:
                node = await self._mesh.resolve(host)
                return _Stream(*await self._mesh.open_connection(node.id, port))
            except PulseError as error:
                raise _NotReachedError(error) from error

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _NotReachedError(httpcore.ConnectError):
    """What pulse said; the pool takes causes away."""

    def __init__(self, error: PulseError) -> None:
        super().__init__(str(error))
        self.error = error


class _Stream(httpcore.AsyncNetworkStream):
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        async with _timely(timeout, httpcore.ReadTimeout):
            try:
                return await self._reader.read(max_bytes)
            except OSError as error:
                raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        async with _timely(timeout, httpcore.WriteTimeout):
            try:
                self._writer.write(buffer)
                await self._writer.drain()
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        async with _timely(timeout, httpcore.ConnectTimeout):
            try:
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
            except OSError as error:
                raise httpcore.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # A kept connection that has something to say has said its end.
            return self._reader.at_eof() or self._writer.is_closing()
        return self._writer.get_extra_info({"ssl_object": "ssl_object", "socket": "socket"}.get(info, info))


@asynccontextmanager
async def _timely(seconds: float | None, late: type[Exception]) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise late(f"nothing within {seconds:g} s") from error


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        for theirs, ours in _ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error)) from (error.error if isinstance(error, _NotReachedError) else error)
        raise
