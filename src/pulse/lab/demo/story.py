"""What `pulse demo` shows: a mesh on four hosts, from the first token to the last file removed.

Invariant: every figure is measured on real interfaces by commands anybody can type; `STEPS` is all of it, in order.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pulse.errors import PulseError
from pulse.lab.demo import pair, relay
from pulse.lab.demo.stage import Outcome, Report, Scene, Step
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from pulse.lab.namespaces import processes_in
from pulse.lab.topologies import joined

PLAN: Final = joined(("relay", "laptop"), ("relay", "stranger"), ("relay", "server"))


def run(report: Report, *, keep: bool, kept: Callable[[Lab], None]) -> Outcome:
    """Play all steps in a lab of their own; with `keep` it stays up and `kept` is told which it is.

    Raises PulseError if a step cannot be done; the lab is taken away then, too.
    """
    begin = time.monotonic()
    steps = STEPS if keep else (*STEPS, LEAVE)
    with _built(report) as lab:
        scene = Scene(lab)
        for number, step in enumerate(steps, start=2):
            report.begins(number, step.title)
            report.ends(number, step.title, *step.act(scene))
        if keep:
            lab.keep()
            kept(lab)
    return _judged(scene, keep=keep, seconds=time.monotonic() - begin)


@contextmanager
def _built(report: Report) -> Iterator[Lab]:
    title = "four hosts and three cables"
    report.begins(1, title)
    begin = time.monotonic()
    with Lab(PLAN) as lab:
        report.ends(1, title, f"{time.monotonic() - begin:.1f} s", "pulse lab up")
        yield lab


def _judged(scene: Scene, *, keep: bool, seconds: float) -> Outcome:
    outcome = scene.outcome
    outcome.seconds = round(seconds, 1)
    outcome.clean = outcome.clean and not any(host.directory.exists() for host in scene.lab.hosts.values())
    refused = outcome.wrong_token_refused and outcome.token_reuse_refused and outcome.stranger_refused
    relayed = outcome.relay_ping and outcome.canary_absent
    direct = outcome.direct_after_join and outcome.direct_survives_relay_kill
    outcome.ok = outcome.hash_equal and refused and relayed and direct and (outcome.clean or keep)
    return outcome


def _leave(scene: Scene) -> tuple[str, str]:
    """Stop every node the friendly way; what is left is what pulse forgot, for the lab is still up."""
    hosts = scene.lab.hosts.values()
    for host in hosts:
        host.pulse("stop")
    left = [str(pid) for host in hosts for pid in processes_in(host.namespace)]
    left += [name for host in hosts for name in _interfaces(host) - {"lo"} - {port.interface for port in host.ports}]
    left += [str(path) for host in hosts for path in host.data.glob("*.sock")]
    if left:
        raise PulseError(f"pulse stop left behind: {', '.join(left)}")
    scene.outcome.clean = True
    return "no process, interface or socket left", "pulse stop, on all"


def _interfaces(host: Host) -> set[str]:
    return set(host.run(["ls", "/sys/class/net"]).stdout.split())


STEPS: Final = (*pair.STEPS, *relay.STEPS)
LEAVE: Final = Step("everything is removed", _leave)
