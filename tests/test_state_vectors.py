"""State on disk from one release to the next and back: no node has to join anew because of an upgrade.

`tests/vectors/state` has every file as this release writes it, `state.json` beside it what is read from them. After a
wanted change run this once with `PULSE_WRITE_VECTORS=1`, look at the difference, and ask what a node does that has the
old ones.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pulse.errors import Damaged
from pulse.store import authority
from pulse.store.files import PRIVATE_DIRECTORY, PRIVATE_FILE
from tests import later, state

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "tests" / "vectors" / "state"
READS = """
import json, sys
from pathlib import Path
from tests import state
print(json.dumps(state.read(Path(sys.argv[1]))))
"""
TOLD = KEPT.with_suffix(".json")


def files(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def private(place: Path) -> Path:
    """As pulse wants them; a repository keeps no such modes."""
    for path in (place, *place.rglob("*")):
        path.chmod(PRIVATE_DIRECTORY if path.is_dir() else PRIVATE_FILE)
    return place


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """State that this release writes now."""
    state.write(tmp_path / "fresh")
    return tmp_path / "fresh"


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return later.tree(tmp_path_factory.mktemp("next"))


def expected() -> object:
    return json.loads(TOLD.read_text(encoding="utf-8"))


def told(place: Path) -> object:
    return json.loads(json.dumps(state.read(place)))


def test_state_is_read_as_it_was_written_once(fresh: Path, tmp_path: Path) -> None:
    if "PULSE_WRITE_VECTORS" in os.environ:
        shutil.rmtree(KEPT, ignore_errors=True)
        shutil.copytree(fresh, KEPT)
        TOLD.write_text(json.dumps(told(fresh), indent=1) + "\n", encoding="utf-8")

    assert told(private(shutil.copytree(KEPT, tmp_path / "kept"))) == expected()


def test_what_is_written_now_is_of_the_same_files_and_says_the_same(fresh: Path) -> None:
    assert files(fresh) == files(KEPT)
    assert told(fresh) == expected()


def test_what_the_next_release_writes_is_read(next_release: Path, tmp_path: Path) -> None:
    place = tmp_path / "written"
    environment = os.environ | {"PYTHONPATH": f"{next_release}:{ROOT}"}
    command = [sys.executable, "-m", "tests.state", str(place)]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120)

    grown = [path for path in files(place) if b"said_later" in (place / path).read_bytes()]
    assert "identity/network" in grown, "it is the next release that wrote them"
    assert told(place) == expected()


def test_the_next_release_reads_what_this_one_wrote(next_release: Path, tmp_path: Path) -> None:
    place = private(shutil.copytree(KEPT, tmp_path / "kept"))
    environment = os.environ | {"PYTHONPATH": f"{next_release}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", READS, str(place)],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert json.loads(done.stdout) == expected()


def test_a_ledger_with_other_tables_is_refused_untouched_and_says_what_to_do(fresh: Path) -> None:
    import sqlite3

    ledger = fresh / authority.DIRECTORY / authority.LEDGER
    with sqlite3.connect(ledger) as connection:
        connection.execute("CREATE TABLE later (what TEXT)")
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = ledger.read_bytes()

    with pytest.raises(Damaged, match=r"newer pulse \(version 99\)[\s\S]*Upgrade pulse here"):
        authority.open_ledger(fresh, authority.open_issuer(fresh))
    assert ledger.read_bytes() == before
