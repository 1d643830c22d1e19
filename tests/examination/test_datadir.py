"""What the data directory of a node says."""

import fcntl
import os
from pathlib import Path

from tests.examination.conftest import look


def test_damage_is_told_by_file(data_dir: Path) -> None:
    (data_dir / "identity" / "certificate.pem").write_bytes(b"x")
    assert "identity" in look(data_dir).state_problem
    (data_dir / "identity").chmod(0o755)
    assert "open to other users" in look(data_dir).state_problem


def test_who_has_the_directory_and_is_silent_is_named(data_dir: Path) -> None:
    with (data_dir / "lock").open("w") as lock:
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        assert look(data_dir).holder == 0, "a lock that nobody holds is a leftover"
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = look(data_dir)

    assert (found.holder, found.silence) == (os.getpid(), "no answer")
