"""Fifty real daemons on one machine are one mesh, though none has links with all the others."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from pulse.errors import PulseError
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import star
from tests.e2e.mesh import PORT, Node, errors_of
from tests.namespace import require_root

COUNT = 50
AT_ONCE = 4
PATIENCE = 100.0


@pytest.mark.timeout(300)
def test_fifty_daemons_are_one_mesh() -> None:
    require_root()
    with Lab(star(COUNT)) as lab:
        ca, *others = [Node(host) for host in lab.hosts.values()]
        ca.start("--ca", "--scribe", "--network", "test")
        token = ca.token("--max-uses", str(COUNT))

        def bring_up(node: Node) -> None:
            node.host.pulse(
                "start", "--tun", "--listen", f":{PORT}", "--join", node.way_to(ca), "--token", token, timeout=PATIENCE
            )

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(bring_up, others))
        for node in (ca, *others):
            wait_until(partial(has_all_paths, node), f"{node.host.name} has all paths", PATIENCE)

        for far in (others[0], others[COUNT // 2], others[-1]):
            assert others[7].reaches(far) or far is others[7]
        assert errors_of((ca, *others)) == []


def has_all_paths(node: Node) -> bool:
    """True if it has a path to every other; false too while it is too busy to say."""
    try:
        return sum(row.link != "-" for row in node.status().peers) == COUNT - 1
    except PulseError:
        return False
