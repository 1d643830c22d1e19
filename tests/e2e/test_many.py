"""More daemons on one machine than a node has links are one mesh all the same; who dies is missed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest

from pulse.errors import LinkError, PulseError
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import star
from tests.e2e.mesh import PORT, Node, errors_of
from tests.namespace import require_root

COUNT: Final = 32
"""Each costs all others a part of a second, so the time goes with the square; `bench/spread.py` brings up fifty."""
AT_ONCE: Final = 3
TRIES: Final = 5
"""How often a person would type it: a machine that is busy with so many may leave a join without an answer."""
PATIENCE: Final = 180.0

pytestmark = [pytest.mark.timeout(600), pytest.mark.alone]


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    """A CA and those who joined over it, each of whom reaches all others."""
    require_root()
    with Lab(star(COUNT)) as lab:
        ca, *others = made = [Node(host) for host in lab.hosts.values()]
        ca.start("--ca", "--scribe", "--network", "test")
        token = ca.token("--max-uses", str(COUNT))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(partial(bring_up, door=ca, token=token), others))
        wait_paths(made)
        yield made
        assert errors_of(made) == []


def bring_up(node: Node, door: Node, token: str) -> None:
    """Join and start, again as long as there was no answer."""
    command = ["start", "--tun", "--listen", f":{PORT}", "--join", node.way_to(door), "--token", token]
    for _ in range(TRIES):
        tried = node.host.pulse(*command, check=False, timeout=PATIENCE)
        if tried.code != LinkError.exit_code:
            break
    assert tried.code == 0, tried


def wait_paths(nodes: list[Node]) -> None:
    """Wait until each has paths to all the others, and to nobody else."""
    names = {node.host.name for node in nodes}
    for node in nodes:
        others = names - {node.host.name}
        wait_until(partial(reaches_all, node, others), f"{node.host.name} has a path to each of the others", PATIENCE)


def reaches_all(node: Node, others: set[str]) -> bool:
    """True if these are whom it has a path to; false too while it is too busy to say."""
    try:
        return {row.name for row in node.status().peers if row.link != "-"} == others
    except PulseError:
        return False


def test_many_daemons_are_one_mesh(nodes: list[Node]) -> None:
    assert all(nodes[8].reaches(far) for far in (nodes[1], nodes[COUNT // 2], nodes[-1]))


def test_one_that_is_killed_is_missed_by_all(nodes: list[Node]) -> None:
    gone = nodes[COUNT // 3]
    gone.kill()

    wait_paths([node for node in nodes if node is not gone])
