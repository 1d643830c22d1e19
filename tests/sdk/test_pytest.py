"""The plugin in the tests of somebody else: a fixture, and nothing that slows down those who do not ask for it."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "sdk.md"

SUITE = """
import asyncio, sys

def test_nothing_is_loaded_for_who_does_not_ask():
    assert not {"pulse.node", "pulse.sdk.node", "cryptography", "uvicorn"} & {*sys.modules}

def test_two_nodes_are_there(pulse_mesh):
    async def main():
        async with pulse_mesh.second.connect() as mesh:
            return await mesh.ping("first")

    assert asyncio.run(main()).id == pulse_mesh.first.id
"""


def _in_the_howto() -> str:
    """The example of docs/howto/sdk.md, which needs no plugin but ours."""
    (found,) = (
        each for each in re.findall(r"```python\n(.*?)```", HOWTO.read_text(), re.DOTALL) if "def test_" in each
    )
    return str(found)


def test_a_suite_that_asks_for_the_mesh_has_it_and_others_pay_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SUITE)
    (tmp_path / "test_that.py").write_text(_in_the_howto())
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "pulse.sdk.pytest", str(tmp_path)]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=alone)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_pytest_finds_the_plugin_by_itself() -> None:
    assert [each.value for each in entry_points(group="pytest11", name="pulse")] == ["pulse.sdk.pytest"]
