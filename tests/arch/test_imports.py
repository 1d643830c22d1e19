"""Who may import what, where import-linter cannot see it: the compiled module, and what a quick command loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "pulse"

SLOW = ["asyncio", "textual", "uvicorn", "starlette", "cryptography", "ssl", "httpx", "pulse._dataplane", "pulse.node"]
RUNS = """
import atexit, sys
atexit.register(lambda: print("LOADED", *[name for name in {slow!r} if name in sys.modules]))
sys.argv = ["pulse", *{arguments!r}]
from pulse.cli.app import main
main()
"""


def loaded_by(*arguments: str) -> list[str]:
    code = RUNS.format(slow=SLOW, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "LOADED" in done.stdout, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_help_loads_nothing_slow() -> None:
    assert loaded_by("--help") == []


def test_version_loads_no_server() -> None:
    assert set(loaded_by("version")) <= {"pulse._dataplane"}


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_status_loads_nothing_slow(tmp_path: Path, flags: list[str]) -> None:
    assert loaded_by("status", "--data-dir", str(tmp_path), *flags) == []


def test_only_the_adapter_imports_the_data_plane() -> None:
    importers = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if imports_dataplane(path)}

    assert importers <= {"net/dataplane.py", "cli/version.py"}
    assert "net/dataplane.py" in importers


def imports_dataplane(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module="pulse", names=names) if any(alias.name == "_dataplane" for alias in names):
                return True
            case ast.ImportFrom(module="pulse._dataplane"):
                return True
            case ast.Import(names=names) if any(alias.name == "pulse._dataplane" for alias in names):
                return True
    return False
