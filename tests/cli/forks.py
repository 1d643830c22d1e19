"""Commands without the cost of starting Python: a process that has read pulse's command line forks for each.

What runs is a process of its own, as people run it: its words, environment, directory and descriptors are those it was
given, and it ends as the interpreter ends. Only what Python and its libraries take to be read is there already.
"""

import atexit
import contextlib
import importlib
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "src" / "pulse" / "__main__.py"
_MOST = 1 << 17


def run(arguments: Sequence[str], environment: Mapping[str, str], directory: Path, streams: Sequence[int]) -> int:
    """Run `pulse` with three standard streams to its end, within a minute; its exit code as `subprocess` has it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            wanted = json.dumps([[*arguments], dict(environment), str(directory)]).encode()
            socket.send_fds(_forking(os.getpid()), [wanted], [*streams, theirs.fileno()])
        ours.settimeout(60)
        process = int(ours.recv(32))
        try:
            return int(ours.recv(32))
        except TimeoutError:
            os.kill(process, signal.SIGKILL)
            raise subprocess.TimeoutExpired(["pulse", *arguments], 60) from None


@cache
def _forking(_: int) -> socket.socket:
    """Where one process of tests asks; what answers ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in (ours, theirs):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST)
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")} | {"PYTHONPATH": path}
    with theirs:
        command = [sys.executable, "-m", "tests.cli.forks", str(theirs.fileno())]
        forking = subprocess.Popen(command, env=clean, pass_fds=[theirs.fileno()])
    atexit.register(_end, ours, forking)
    return ours


def _end(asking: socket.socket, forking: "subprocess.Popen[bytes]") -> None:
    asking.close()
    forking.wait(60)


# In the process that forks


def _serve(asked: socket.socket) -> tuple[Any, list[int]] | None:
    """Wait for who asks; None in the end. What is returned is to be run, by the process that this returns in."""
    _read_ahead()
    while True:
        data, descriptors, _, _ = socket.recv_fds(asked, _MOST, 4)
        if not data:
            return None
        if os.fork() == 0:
            asked.close()
            return json.loads(data), descriptors
        for each in descriptors:
            os.close(each)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _read_ahead() -> None:
    for room in ("cli", "calls", "schemas"):
        package = importlib.import_module(f"pulse.{room}")
        for each in pkgutil.iter_modules(package.__path__, f"pulse.{room}."):
            if not each.ispkg:
                importlib.import_module(each.name)
    for name in ("rich.console", "rich.table", "rich.progress", "cyclopts.help", "http.client"):
        importlib.import_module(name)
    assert "pulse.node" not in sys.modules, "a fake one may have to take its place"


def _tell_how_it_ends(process: int, told: int) -> None:
    """The waiter's whole life."""
    with socket.socket(fileno=told) as teller:
        teller.send(str(process).encode())
        teller.send(str(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])).encode())


def _become(arguments: list[str], environment: dict[str, str], directory: str, streams: list[int]) -> None:
    for number, each in enumerate(streams):
        os.dup2(each, number)
    os.closerange(3, max(streams) + 1)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(directory)
    sys.argv, sys.orig_argv = [str(MAIN), *arguments], [sys.executable, "-m", "pulse", *arguments]
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace", line_buffering=True
    )
    own = Path(environment["PYTHONPATH"].partition(os.pathsep)[0]) / "sitecustomize.py"
    if own.exists():
        runpy.run_path(str(own))


if __name__ == "__main__":
    found = _serve(socket.socket(fileno=int(sys.argv[1])))
    if found:
        (words, variables, place), given = found
        command = os.fork()
        if command:
            _tell_how_it_ends(command, given[3])
            os._exit(0)
        os.close(given[3])
        _become(words, variables, place, given[:3])
        from pulse.cli.app import main

        main()
