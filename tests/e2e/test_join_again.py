"""A joiner that is killed while it writes what it got comes in by the same command, at no further use of its token.

Each test leaves the pair as it was: who joins has a data directory of its own, and does not start.
"""

import signal
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pulse.lab.host import Output
from pulse.schemas.tokens import TokenInfo
from tests.e2e.mesh import Node, Pair

RENAMES = 7
"""Each file a join writes is renamed into its place: its key, the identity's files, then their directory, twice."""


def killed_at(renames: int, joiner: Node, *arguments: str) -> Output:
    """Run a command of pulse, and kill -9 it at its rename of that number."""
    inject = f"inject=rename,renameat,renameat2:signal=KILL:when={renames}"
    trace = ["strace", "-f", "-qqq", "-e", "trace=rename,renameat,renameat2", "-e", "signal=none", "-e", inject]
    return joiner.host.run([*trace, *joiner.host.pulse_command(*arguments)], check=False)


def uses(pair: Pair) -> int:
    """How often the token made last was used."""
    listed = pair.ca.host.pulse("token", "list", "--json").stdout
    return max(msgspec.json.decode(listed, type=list[TokenInfo]), key=lambda token: token.created).uses


@pytest.mark.parametrize("renames", range(1, RENAMES + 1))
def test_who_was_killed_at_a_write_joins_by_the_same_command(pair: Pair, tmp_path: Path, renames: int) -> None:
    joiner = Node(replace(pair.member.host, directory=tmp_path))
    join = ["join", pair.ca.underlay, "--token", pair.ca.token("--max-uses", "1")]

    killed = killed_at(renames, joiner, *join)

    assert killed.code in {-signal.SIGKILL, 128 + signal.SIGKILL}, killed
    again = joiner.tries(*join)
    assert again.code == 0, again
    assert uses(pair) == 1
    assert sorted(path.name for path in joiner.host.data.iterdir()) == ["identity", "lock"]


def test_a_join_has_no_more_writes_than_these(pair: Pair, tmp_path: Path) -> None:
    joiner = Node(replace(pair.member.host, directory=tmp_path))

    done = killed_at(RENAMES + 1, joiner, "join", pair.ca.underlay, "--token", pair.ca.token())

    assert done.code == 0, done
