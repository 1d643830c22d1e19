"""A web application on a port of the mesh, asked by httpx from the other node."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pulse.errors import Refused
from pulse.sdk import Mesh
from pulse.sdk.asgi import serve
from pulse.sdk.httpx import MeshTransport
from pulse.sdk.pytest import PulseMesh
from tests.loopback import PATIENCE
from tests.sdk.rooms import leaving_nothing

STEPS: list[str] = []


async def who(request: Request) -> Response:
    return JSONResponse({"client": request.client and request.client.host, **request.scope["extensions"]["pulse"]})


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    STEPS.append("begun")
    yield
    STEPS.append("ended")


APP = Starlette(routes=[Route("/", who)], lifespan=lifespan)


@contextlib.asynccontextmanager
async def served(mesh: Mesh) -> AsyncIterator[int]:
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve(APP, mesh, 0, ready=port.set_result))
    async with asyncio.timeout(PATIENCE):
        yield await port
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving


async def test_an_application_hears_which_node_calls_and_its_life_has_both_ends(pulse_mesh: PulseMesh) -> None:
    STEPS.clear()
    async with (
        pulse_mesh.first.connect() as one,
        pulse_mesh.second.connect() as two,
        leaving_nothing(),
        served(one) as port,
    ):
        async with httpx.AsyncClient(transport=MeshTransport(two)) as client:
            said = [await client.get(f"http://first.pulse:{port}/") for _ in range(2)]
        assert [each.json() for each in said] == [{"client": "second", "node": two.me.id, "name": "second"}] * 2
    assert STEPS == ["begun", "ended"]


async def test_a_port_that_is_refused_ends_the_application(pulse_mesh: PulseMesh) -> None:
    STEPS.clear()
    async with pulse_mesh.first.connect() as mesh:
        with pytest.raises(Refused, match="below 1024"):
            await serve(APP, mesh, 80)
    assert STEPS == ["begun", "ended"]
