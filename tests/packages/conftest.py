"""What `make packages` built, and a wheel of the tree for tests that look at what is in one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pulse.errors import PulseError

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """What a command says; raises PulseError, with all of that, if it fails."""
    words = [str(word) for word in command]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PULSE_", "PYTHON"))}
    done = subprocess.run(
        words, cwd=cwd, env=variables | (environment or {}), capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise PulseError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def build(kind: str, tree: Path, output: Path) -> Path:
    """A `wheel` or an `sdist` of a tree, as whoever installs from source builds it, on the Rust of `make setup`."""
    search = run(ROOT / "tools" / "setup.sh", "rust-path").strip()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{search}",
        "PYO3_PYTHON": sys.executable,
        "MATURIN_PEP517_ARGS": "--locked",
        "MATURIN_NO_INSTALL_RUST": "1",
    }
    output.mkdir(exist_ok=True)
    code = f"import sys; sys.path.insert(0, 'tools'); import backend; backend.build_{kind}({str(output)!r})"
    run(sys.executable, "-c", code, cwd=tree, environment=environment)
    (made,) = output.iterdir()
    return made


@pytest.fixture(scope="module")
def built() -> Path:
    """The wheel in dist/."""
    found = sorted((ROOT / "dist").glob("*.whl"))
    if len(found) != 1:
        pytest.skip("needs one wheel in dist/: make packages")
    return found[0]


@pytest.fixture(scope="module")
def deb() -> Path:
    """The Debian package in dist/."""
    found = sorted((ROOT / "dist").glob("*.deb"))
    if len(found) != 1:
        pytest.skip("needs one Debian package in dist/: make packages")
    return found[0]
