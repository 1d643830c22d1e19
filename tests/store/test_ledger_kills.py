"""kill -9 at every point of the join's write path: never two certificates, and a retry always works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pulse.core.trust.certificates import parse
from pulse.core.trust.join import Refusal
from tests.store.join_once import TOKEN
from tests.store.ledgers import issued_serials, join, make, refusal, reopen, uses

ROOT = Path(__file__).parents[2]
CALLS = ("pwrite64", "fdatasync", "fsync", "rename", "write")
"""What sqlite and the head file write with; `write` also carries the answer itself."""

MOST_CALLS = 40
MOST_STATEMENTS = 200


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "ca"
    make(path, TOKEN).close()
    return path


def check_after_kill(directory: Path, *, answered: bool) -> None:
    """I4 and I5: what an answer told is kept, a retry works, and nobody else gets the token's one use."""
    with reopen(directory) as ledger:
        serials = issued_serials(ledger)
        assert uses(ledger, TOKEN) == len(serials) <= 1
        assert serials or not answered
        retried = join(ledger, "a", TOKEN)
        assert retried.certificate is not None
        assert retried.is_new is not bool(serials)
        assert issued_serials(ledger) == [f"{parse(retried.certificate).serial:x}"]
        assert refusal(join(ledger, "b", TOKEN)) is Refusal.USED_UP
        assert uses(ledger, TOKEN) == 1
        assert ledger.verify().broken is None


def test_a_death_at_any_sql_statement_keeps_the_promises(directory: Path, tmp_path: Path) -> None:
    for number in range(1, MOST_STATEMENTS):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(directory, copy)
        if not died_at(copy, number):
            assert number > 15
            return
        check_after_kill(copy, answered=False)
    pytest.fail("a join never ended")


def died_at(directory: Path, number: int) -> bool:
    """Fork a CA that dies, without any clean-up, as its join begins the given statement."""
    child = os.fork()
    if child == 0:
        try:
            left = number

            def count(_: str) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    os._exit(9)

            ledger = reopen(directory)
            ledger._database.connection.set_trace_callback(count)
            join(ledger, "a", TOKEN)
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 9


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("call", CALLS)
def test_kill_9_at_any_system_call_of_a_join_keeps_the_promises(directory: Path, tmp_path: Path, call: str) -> None:
    for when in range(1, MOST_CALLS):
        copy = tmp_path / f"copy-{when}"
        shutil.copytree(directory, copy)
        finished = killed(copy, f"{call}:signal=KILL:when={when}")
        check_after_kill(copy, answered=finished.stdout == "answered")
        if finished.returncode == 0:
            assert when > 1
            return
    pytest.fail(f"a join made {MOST_CALLS} calls of {call} and more")


def killed(directory: Path, injection: str) -> subprocess.CompletedProcess[str]:
    """A join in a process of its own under strace, killed as it enters the named system call."""
    command = ["strace", "-f", "-o", os.devnull, "-e", f"trace={injection.split(':', 1)[0]}"]
    command += ["-e", f"inject={injection}", sys.executable, "-m", "tests.store.join_once", str(directory), "a"]
    path = os.pathsep.join((str(ROOT), *sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False, timeout=60)
