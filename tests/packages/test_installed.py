"""The wheel of `make wheel` as people install it: by pip, pipx and uv, with what it depends on from the registry."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.namespace import require_root
from tests.packages.conftest import run

pytestmark = [pytest.mark.packages, pytest.mark.timeout(900)]

PROGRAMS = Path(sys.executable).parent


def knows_its_commit(pulse: Path, place: Path) -> bool:
    told = json.loads(run(pulse, "version", "--json", cwd=place))
    return re.fullmatch(r"[0-9a-f]{40}\+?", told["commit"]) is not None


def test_the_wheel_is_for_old_systems(built: Path) -> None:
    """As maturin says, which looks at every symbol before it gives that name."""
    assert re.search(r"-cp311-abi3-manylinux_2_28_\w+\.whl$", built.name)


def test_from_a_clean_environment_a_mesh_comes_up(built: Path, tmp_path: Path) -> None:
    require_root()
    run(sys.executable, "-m", "venv", tmp_path / "clean")
    programs = tmp_path / "clean" / "bin"
    run(programs / "pip", "install", "--quiet", "--disable-pip-version-check", built)

    assert knows_its_commit(programs / "pulse", tmp_path)
    assert "pulse help" in run(programs / "pulse", "help", cwd=tmp_path)
    path = f"{programs}:{os.environ['PATH']}:/usr/sbin:/sbin"
    run(programs / "pulse", "lab", "run", "home-relay", cwd=tmp_path, environment={"PATH": path})
    assert run(programs / "pip", "check") == "No broken requirements found.\n"


def test_pipx_installs_it_and_takes_it_away(built: Path, tmp_path: Path) -> None:
    places = {
        "PIPX_HOME": str(tmp_path / "home"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
        "PIPX_DEFAULT_BACKEND": "pip",
    }
    run(PROGRAMS / "pipx", "install", "--python", sys.executable, built, environment=places)

    assert knows_its_commit(tmp_path / "bin" / "pulse", tmp_path)
    assert (tmp_path / "man" / "man1" / "pulse.1").exists()
    run(PROGRAMS / "pipx", "uninstall", "pulse-mesh", environment=places)
    assert not (tmp_path / "bin" / "pulse").exists()


def test_uv_installs_it_and_takes_it_away(built: Path, tmp_path: Path) -> None:
    places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    run(PROGRAMS / "uv", "tool", "install", "--python", sys.executable, built, environment=places)

    assert knows_its_commit(tmp_path / "bin" / "pulse", tmp_path)
    run(PROGRAMS / "uv", "tool", "uninstall", "pulse-mesh", environment=places)
    assert not (tmp_path / "bin" / "pulse").exists()
