"""A wheel and an sdist have all that the tree has and pulse needs, and know the commit they were built of."""

import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packages.conftest import ROOT, build, run

pytestmark = pytest.mark.timeout(600)

BUILT = {"pulse/commit", "pulse/_dataplane.abi3.so"}


def git(*arguments: str) -> list[str]:
    try:
        return run("git", *arguments, cwd=ROOT).splitlines()
    except OSError:
        pytest.skip("needs git, and a checkout")


def commit() -> str:
    return git("rev-parse", "HEAD")[0] + "+" * bool(git("status", "--porcelain"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel") / "dist")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with that wheel; what it depends on is lent by the one of the tests."""
    place = tmp_path_factory.mktemp("installed") / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", place)
    alone = ("--no-index", "--no-deps", "--disable-pip-version-check", "--quiet")
    run(sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", *alone, wheel)
    (site,) = place.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place


def test_a_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    there = git("ls-files", "--cached", "--others", "--exclude-standard", "src/pulse")
    wanted = {path.removeprefix("src/") for path in there} | BUILT

    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("pulse/")}
    assert inside == wanted


def test_the_wheel_of_all_pythons_says_so(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


def test_installed_it_knows_its_commit_and_runs_without_the_tree(installed: Path, tmp_path: Path) -> None:
    pulse = installed / "bin" / "pulse"

    assert json.loads(run(pulse, "version", "--json", cwd=tmp_path))["commit"] == commit()
    assert "Who may reach whom" in run(pulse, "help", "policy", cwd=tmp_path)
    assert "home-relay" in run(pulse, "lab", "list", cwd=tmp_path)
    assert "_pulse()" in run(pulse, "completion", "bash", cwd=tmp_path)
    for file in ("man/man1/pulse.1", "pulse-mesh/prometheus/alerts.yml", "pulse-mesh/grafana/pulse.json"):
        assert (installed / "share" / file).exists(), file


def test_installed_it_is_typed_for_programs(installed: Path, tmp_path: Path) -> None:
    (site,) = installed.glob("lib/python*/site-packages")

    assert (site / "pulse" / "py.typed").exists()
    assert (site / "pulse" / "_dataplane.pyi").exists()


def test_a_service_of_it_has_its_command(installed: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    # Under /tmp it would be refused.
    program = "from pulse.cli import app, service; service.HOMES = ('/nowhere/',); app.main()"

    run(installed / "bin" / "python", "-c", program, "install-service", "--root", image, cwd=tmp_path)
    unit = (image / "etc" / "systemd" / "system" / "pulse.service").read_text()
    assert f"ExecStart={installed}/bin/python -P -m pulse --config" in unit


def test_an_sdist_is_enough_to_build_from_and_knows_its_commit(tmp_path: Path) -> None:
    sdist = build("sdist", ROOT, tmp_path / "first")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = (path for path in tmp_path.iterdir() if path.name.startswith("pulse_mesh-"))

    assert (tree / "src" / "pulse" / "commit").read_text().strip() == commit()
    for needed in ("Cargo.lock", "crates/pulse-dataplane/src/lib.rs", "tools/backend.py", "LICENSE"):
        assert (tree / needed).exists(), needed
    again = build("sdist", tree, tmp_path / "second")
    with tarfile.open(again) as archive:
        kept = archive.extractfile(f"{tree.name}/src/pulse/commit")
        assert kept is not None
        assert kept.read().decode().strip() == commit()


def test_a_tree_that_git_will_not_read_builds_and_says_why_it_knows_no_commit(tmp_path: Path) -> None:
    """As where a checkout belongs to somebody else."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "src" / "pulse").mkdir(parents=True)
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    (tmp_path / "tools" / "backend.py").write_bytes((ROOT / "tools" / "backend.py").read_bytes())
    code = "import backend as b\nwith b._commit_written(): print(b.FILE.read_text())\nprint(b.FILE.exists())"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "tools", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split() == ["False"], done.stderr
    assert "note: pulse will not know of which commit it was built" in done.stderr
