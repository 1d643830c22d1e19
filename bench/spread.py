"""How soon a word of the scribe counts everywhere: `bench/spread.py --json`.

Daemons on one switch; the scribe tags a node again and again, then revokes nodes nobody ever met. Invariant: when
a node had it is read from its own log, whose clock is that of the command, and nobody asks the nodes meanwhile.
"""

import argparse
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import msgspec

from pulse import clock
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from pulse.lab.topologies import star
from rig import admit, found, main, processor_times, stolen, wait_paths

AT_ONCE = 3
CONFIG, REVOKED = "network config in force", "node revoked"


class Result(msgspec.Struct):
    """Milliseconds from the command's start until it counted, over all nodes and rounds."""

    nodes: int
    config_ms_p50: float
    config_ms_p99: float
    revocation_ms_p50: float
    revocation_ms_p99: float
    missed: int
    """Nodes that did not have it within the pause after a round."""
    steal_percent: float


def measure(options: argparse.Namespace) -> Result:
    """Bring the mesh up, let it settle, and say things in it."""
    before = processor_times()
    with Lab(star(options.nodes)) as lab:
        first, *others = hosts = [*lab.hosts.values()]
        found(first, "--scribe")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda host: admit(host, first), others))
        for host in hosts:
            wait_paths(host, *(other.name for other in hosts if other is not host))
        time.sleep(options.settle)
        whom = others[0].name
        tagged = _rounds(hosts, options, CONFIG, lambda: first.pulse("tag", whom, f"t{secrets.token_hex(4)}"))
        revoked = _rounds(hosts, options, REVOKED, lambda: first.pulse("revoke", "--node", secrets.token_hex(32)))
    config, revocation = ([1000 * each for each in took if each is not None] for took in (tagged, revoked))
    return Result(
        nodes=options.nodes,
        config_ms_p50=_percentile(config, 50),
        config_ms_p99=_percentile(config, 99),
        revocation_ms_p50=_percentile(revocation, 50),
        revocation_ms_p99=_percentile(revocation, 99),
        missed=sum(each is None for each in (*tagged, *revoked)),
        steal_percent=stolen(before, processor_times()),
    )


def _rounds(
    hosts: Sequence[Host], options: argparse.Namespace, event: str, say: Callable[[], object]
) -> list[float | None]:
    """Seconds until each node had what was said in each round; None for one that had not after the pause."""
    took: list[float | None] = []
    for _ in range(options.rounds):
        began = clock.wall()
        say()
        time.sleep(options.pause)
        took += [_heard(host, event, began) for host in hosts]
    return took


def _heard(host: Host, event: str, since: float) -> float | None:
    """Seconds after `since` at which a node logged the event first."""
    for line in reversed((host.data / "pulse.log").read_text(encoding="utf-8").splitlines()):
        stamp, _, rest = line.partition(" ")
        if event not in rest:
            continue
        at = datetime.fromisoformat(stamp).timestamp()
        return at - since if at >= since - 0.001 else None
    return None


def _percentile(values: Sequence[float], percent: int) -> float:
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pause", type=float, default=3.0, help="seconds after each round")
    parser.add_argument("--settle", type=float, default=30.0, help="seconds before the first")
    main(parser, measure)
