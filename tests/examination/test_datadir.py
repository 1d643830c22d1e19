"""What the data directory of a node says."""

import fcntl
import os
from pathlib import Path

from pulse.examination import datadir
from pulse.store import undo
from pulse.store.undo import Undo
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


def test_what_is_left_to_put_back_is_told_of_a_node_that_is_gone_and_damage_of_any(data_dir: Path) -> None:
    undo.add(data_dir, Undo("openresolv", "pulse0"))
    (data_dir / "undo").write_bytes(b"damaged")
    assert (look(data_dir).left, look(data_dir).undo_problem) == (("openresolv pulse0",), "")
    (data_dir / "undo.copy").write_bytes(b"damaged")
    for running in (True, False):
        found = datadir.state(data_dir, running=running)
        assert (bool(found["left"]), "undo is damaged" in found["undo_problem"]) == (not running, True)
    assert datadir.state(data_dir / "none", running=False) == {}
