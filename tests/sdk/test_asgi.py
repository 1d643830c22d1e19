"""A web application on a port of the mesh, asked by httpx from the other node."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pulse import clock
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
async def served(mesh: Mesh, **settings: object) -> AsyncIterator[int]:
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve(APP, mesh, 0, ready=port.set_result, **settings))
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
        told = [each.json() for each in said]
        assert {each.pop("named") for each in told} <= {True, False}, "other tests may have given it"
        assert told == [{"client": "second", "node": two.me.id, "name": "second"}] * 2
    assert STEPS == ["begun", "ended"]


async def test_https_is_checked_by_the_name_under_pulse(pulse_mesh: PulseMesh, tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path, "first.pulse")
    async with (
        pulse_mesh.first.connect() as one,
        pulse_mesh.second.connect() as two,
        leaving_nothing(),
        served(one, ssl_keyfile=key, ssl_certfile=certificate) as port,
    ):
        trusting = MeshTransport(two, ssl.create_default_context(cafile=certificate))
        async with httpx.AsyncClient(transport=trusting) as client:
            assert (await client.get(f"https://first.pulse:{port}/")).json()["client"] == "second"
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await client.get(f"https://www.first.pulse:{port}/")
        async with httpx.AsyncClient(transport=MeshTransport(two)) as client:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await client.get(f"https://first.pulse:{port}/")


def self_signed(place: Path, name: str) -> tuple[str, str]:
    """A key and a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    named, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.fromtimestamp(clock.wall(), UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (place / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (place / "certificate").write_bytes(made.public_bytes(Encoding.PEM))
    return str(place / "key"), str(place / "certificate")


async def test_a_port_that_is_refused_ends_the_application(pulse_mesh: PulseMesh) -> None:
    STEPS.clear()
    async with pulse_mesh.first.connect() as mesh:
        with pytest.raises(Refused, match="below 1024"):
            await serve(APP, mesh, 80)
    assert STEPS == ["begun", "ended"]


async def test_nobody_writes_who_he_is_into_a_header(pulse_mesh: PulseMesh) -> None:
    """As a proxy would; uvicorn believes it where FORWARDED_ALLOW_IPS says so, and in containers it often does."""
    headers = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"}
    async with (
        pulse_mesh.first.connect() as one,
        pulse_mesh.second.connect() as two,
        served(one, forwarded_allow_ips="*", proxy_headers=True) as port,
        httpx.AsyncClient(transport=MeshTransport(two), headers=headers) as client,
    ):
        assert (await client.get(f"http://first.pulse:{port}/")).json()["client"] == "second"
