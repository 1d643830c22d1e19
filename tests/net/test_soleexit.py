"""One exit a namespace: the second is told of the first, and nothing of it outlives its process."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pulse.errors import Conflict, SystemRefused
from pulse.net.soleexit import SoleExit, holder
from tests.namespace import inside, namespace

HOLD = "import sys, pulse.net.soleexit as s; held = s.SoleExit('first'); print(flush=True); sys.stdin.read()"


@pytest.fixture
def host() -> Iterator[str]:
    with namespace() as name, inside(name):
        yield name


def nft(host: str, *words: str) -> None:
    subprocess.run(["ip", "netns", "exec", host, "nft", *words], check=True)


def test_the_second_is_told_of_the_first_and_may_once_that_is_gone(host: str) -> None:
    assert holder() is None
    with SoleExit("first"):
        assert holder() == "first"
        with pytest.raises(Conflict, match=r"another exit runs on this machine: first; .*\nStop that one"):
            SoleExit("second")
        nft(host, "flush", "ruleset")
        assert holder() == "first"
    with SoleExit("s" * 300):
        assert holder() == "s" * 127


def test_it_goes_with_a_process_that_is_killed(host: str) -> None:
    command = ["ip", "netns", "exec", host, sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        assert holder() == "first"
        first.kill()
    with SoleExit("second"):
        assert holder() == "second"


def test_a_table_of_that_name_that_nobody_holds_is_in_nobodys_way(host: str) -> None:
    nft(host, "add", "table", "inet", "pulse-exit")
    assert holder() == ""
    with SoleExit("first"):
        assert holder() == "first"


def test_who_may_not_configure_the_network_cannot_stand_in_the_way(host: str) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(SystemRefused, match="CAP_NET_ADMIN"):
            SoleExit("stranger")
    finally:
        os.seteuid(0)
    assert holder() is None
