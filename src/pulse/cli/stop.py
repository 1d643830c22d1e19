"""`pulse stop`: a node goes, and what one that is gone left on this machine goes with it.

Invariant: it returns once the node is gone, or says that it stays.
"""

import os
import select
import sys
import time
from pathlib import Path
from typing import Final

from pulse.channel import Remote
from pulse.cli.values import DataDir
from pulse.client import Client, candidates, connect
from pulse.config import SERVICE_DATA_DIR, SERVICE_SOCKET
from pulse.errors import LinkError, PulseError
from pulse.schemas.node import Stopping

PATIENCE: Final = 15.0
"""Seconds a node has to take its leave."""


def stop(*, data_dir: DataDir = None) -> None:
    """Stop the node and wait until it is gone.

    Where none runs any more, what the last one set on this machine is put back: routes, firewall, resolver.
    """
    try:
        with connect(data_dir) as client:
            leaving, place = client.stop(), client.path
    except LinkError:
        if not _put_back(data_dir):
            raise
        return
    print(_ended(leaving, place))
    if leaving.stays:
        print(leaving.stays)


def _ended(leaving: Stopping, place: Path | Remote) -> str:
    """That the node is gone, once it is. Raises PulseError if it stays."""
    pid = leaving.pid
    if leaving.embedded:
        if not _wait_silent(place, PATIENCE):
            raise PulseError(
                f"the node in program {pid} has not ended within {PATIENCE:.0f} s.\n"
                "It ends with that program, or with the block of it that started the node"
            )
        return f"stopped; the program that the node lived in goes on (process {pid})"
    if not _wait_gone(pid, PATIENCE):
        raise PulseError(
            f"the node (process {pid}) has not ended within {PATIENCE:.0f} s.\n"
            f"See its log; to end it at once: kill -9 {pid}"
        )
    return f"stopped (process {pid})"


def _put_back(data_dir: Path | None) -> bool:
    """Have as it was, place by place, what nodes that are gone left there, and say so; False if nothing was left.

    A place where that fails keeps no other from it. Raises PulseError for one of those at the end.
    """
    from pulse import aftermath

    sockets = candidates(data_dir)
    places = {SERVICE_DATA_DIR if each == SERVICE_SOCKET else each.parent for each in sockets}
    failures, found = [], False
    for place in sorted(each for each in places if os.access(each, os.R_OK | os.X_OK)):
        try:
            done = aftermath.put_back(place)
        except PulseError as error:
            failures.append(error)
            continue
        if done:
            found = True
            print(f"no node runs in {place}; what the last one set on this machine is put back: {'; '.join(done)}")
    for each in failures[:-1]:
        print(f"error: {each}", file=sys.stderr)
    if failures:
        raise failures[-1]
    return found


def _wait_gone(pid: int, patience: float) -> bool:
    """True once the process has ended, be it reaped or not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        return bool(ended.poll(patience * 1000))
    finally:
        os.close(descriptor)


def _wait_silent(place: Path | Remote, patience: float) -> bool:
    """True once no node answers there."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            Client(place).close()
        except LinkError:
            return True
        time.sleep(0.05)
    return False
