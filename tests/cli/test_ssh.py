"""The SSH connection a command is typed through."""

import os
from pathlib import Path

import pytest

from pulse.cli.ssh import connection
from pulse.schemas.policy import Connection


def test_it_is_told_by_the_environment() -> None:
    told = {"SSH_CONNECTION": "fd7a::1%eth0 51234 fd7a::2 22"}

    assert connection(told) == Connection("fd7a::1", "fd7a::2", 22)


@pytest.mark.parametrize("told", ["-", "10.0.0.1 22", "a b c d", "10.0.0.1 1 10.0.0.2 70000"])
def test_what_cannot_be_read_is_none(told: str) -> None:
    assert connection({"SSH_CONNECTION": told}) is None


def process(proc: Path, number: int, parent: int, environ: bytes) -> None:
    (proc / str(number)).mkdir()
    (proc / str(number) / "environ").write_bytes(environ)
    (proc / str(number) / "status").write_text(f"Name:\tsudo\nPPid:\t{parent}\n")


def test_sudo_that_keeps_it_back_is_looked_behind(tmp_path: Path) -> None:
    process(tmp_path, os.getppid(), 7, b"HOME=/root\0")
    process(tmp_path, 7, 1, b"SSH_CONNECTION=10.100.0.2 51234 10.100.0.1 22\0SHELL=/bin/sh\0")

    assert connection({}, tmp_path) == Connection("10.100.0.2", "10.100.0.1", 22)


def test_where_nobody_has_it_there_is_none(tmp_path: Path) -> None:
    assert connection({}, tmp_path) is None
    process(tmp_path, os.getppid(), 0, b"")
    assert connection({}, tmp_path) is None
