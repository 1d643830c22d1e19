"""Network namespaces for tests: one that is taken away at the end, and this thread inside it."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pulse.lab.namespaces import inside

__all__ = ["inside", "ip", "ip_json", "namespace", "require_root"]


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


def ip(name: str, *arguments: str) -> str:
    """Run `ip` in a namespace and return what it printed."""
    done = subprocess.run(["ip", "-n", name, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def ip_json(name: str, *arguments: str) -> Any:
    """Run `ip -j` in a namespace: the oracle."""
    return json.loads(ip(name, "-d", "-j", *arguments) or "[]")
