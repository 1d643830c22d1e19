"""Network namespaces for tests: one that is taken away at the end, and this thread inside it."""

import ctypes
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def require_root() -> None:
    """Skip the test for people without root, who cannot make named namespaces."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")


@contextmanager
def namespace() -> Iterator[str]:
    """Make a namespace with its loopback up."""
    require_root()
    name = f"pulse-test-{os.getpid():x}-{secrets.token_hex(2)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        ip(name, "link", "set", "lo", "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Put this thread into a namespace; sockets opened meanwhile stay there."""
    with open("/proc/thread-self/ns/net", "rb") as here, open(f"/run/netns/{name}", "rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(here.fileno())


def ip(name: str, *arguments: str) -> str:
    """Run `ip` in a namespace and return what it printed."""
    done = subprocess.run(["ip", "-n", name, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def ip_json(name: str, *arguments: str) -> Any:
    """Run `ip -j` in a namespace: the oracle."""
    return json.loads(ip(name, "-d", "-j", *arguments) or "[]")


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
