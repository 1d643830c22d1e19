"""The examples, each run as a program of its own against two real nodes: short, and true."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.sdk.pytest import Member, PulseMesh
from tests.loopback import PATIENCE
from tests.people import SRC

EXAMPLES = SRC.parent / "examples"
LINES = 20


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]


def at(node: Member) -> dict[str, str]:
    return {**os.environ, "PULSE_DATA_DIR": str(node.data_dir), "PULSE_CONTROL_SOCKET": "", "PYTHONPATH": str(SRC)}


def said(node: Member, name: str, *arguments: str) -> str:
    """What a program says that ends by itself."""
    done = subprocess.run(
        command(name, *arguments), env=at(node), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def serving(node: Member, name: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A program that goes on, until the end of the block."""
    with subprocess.Popen(command(name, *arguments), env=at(node), stdout=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def line(program: "subprocess.Popen[str]") -> str:
    assert program.stdout
    return program.stdout.readline()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_fits_on_half_a_page(path: Path) -> None:
    code = path.read_text(encoding="utf-8").splitlines()
    assert len([each for each in code if each.strip()]) <= LINES


def test_each_example_does_what_it_says(pulse_mesh: PulseMesh, tmp_path: Path) -> None:
    first, second = pulse_mesh.first, pulse_mesh.second
    with (
        serving(first, "echo_server", "0") as echo,
        serving(first, "asgi_app", "0") as web,
        serving(first, "follow_events") as events,
    ):
        words, port = line(echo).split(), line(web).split()[1]
        assert (words[0], words[3]) == ("port", "first")
        assert said(second, "client", "first", words[1], "hello") == "second: hello\n"
        assert said(second, "sync_dial", "first", words[1], "hello") == "second: hello\n" * 2
        assert said(second, "httpx_call", f"http://first.pulse:{port}/") == "hello, second\n"
        told = said(second, "embedded_node", asyncio.run(_invite(first)), str(tmp_path / "n"))
        assert "my-program is 10." in told
        assert any(line(events).startswith("join my-program") for _ in range(50))


async def _invite(node: Member) -> str:
    async with asyncio.timeout(PATIENCE), node.connect() as mesh:
        return await mesh.invite()
