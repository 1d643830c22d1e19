"""What `pulse demo` shows: a mesh of two on three hosts, from the first token to the last file removed.

Invariant: every figure is measured on real interfaces by commands anybody can type; each refusal is one that was tried,
and `STEPS` is the whole story in order.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from pulse import schemas
from pulse.errors import PulseError, Refused
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.namespaces import processes_in
from pulse.lab.plan import HostPlan, NetworkPlan, Plan
from pulse.lab.transfer import measure

PORT: Final = 8443
PLAN: Final = Plan(
    hosts={"relay": HostPlan(), "laptop": HostPlan(), "stranger": HostPlan()},
    networks=(NetworkPlan(("relay", "laptop")), NetworkPlan(("relay", "stranger"))),
)
_KNOCKS: Final = 2.0
"""Seconds a stranger keeps dialling: several tries, each refused in milliseconds."""


class Outcome(msgspec.Struct):
    """What the demo found; `ok` only if all of it is as it should be."""

    ok: bool = False
    hash_equal: bool = False
    wrong_token_refused: bool = False
    token_reuse_refused: bool = False
    stranger_refused: bool = False
    clean: bool = False
    raw_gbit: float = 0.0
    mesh_gbit: float = 0.0
    ping_ms: float = 0.0
    join_s: float = 0.0
    seconds: float = 0.0


class Report(Protocol):
    """Where the story is told."""

    def begins(self, number: int, title: str) -> None:
        """A step begins."""
        ...

    def ends(self, number: int, title: str, figure: str, command: str) -> None:
        """A step is done: what came of it, and the command that showed it."""
        ...


@dataclass(slots=True)
class Scene:
    """The hosts, and what was found so far."""

    lab: Lab
    outcome: Outcome = field(default_factory=Outcome)
    token: str = ""

    @property
    def relay(self) -> Host:
        """The first node: CA of the mesh."""
        return self.lab["relay"]

    @property
    def laptop(self) -> Host:
        """The node that joins."""
        return self.lab["laptop"]

    @property
    def stranger(self) -> Host:
        """A machine that does not belong."""
        return self.lab["stranger"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what a reader is told, and what is done; it returns its figure and the command that showed it."""

    title: str
    act: Callable[[Scene], tuple[str, str]]


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
    title = "three hosts and two cables"
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
    outcome.ok = outcome.hash_equal and refused and (outcome.clean or keep)
    return outcome


def _raw_link(scene: Scene) -> tuple[str, str]:
    seen = measure(scene.laptop, scene.relay, str(scene.relay.v4.ip))
    scene.outcome.raw_gbit = round(seen.gbit, 2)
    return f"{seen.gbit:.1f} Gbit/s", "1 GiB over TCP"


def _start_authority(scene: Scene) -> tuple[str, str]:
    words = ["start", "--ca", "--tun", "--network", "demo", "--addr", f"{scene.relay.v4.ip}:{PORT}", "--listen"]
    scene.relay.pulse(*words, f":{PORT}")
    node = _status(scene.relay).node
    return f"{node.name} is {node.v4}", "pulse start --ca --tun"


def _refuse_wrong_token(scene: Scene) -> tuple[str, str]:
    wrong = "wrong-token-0123456789-abcdefghijklmnop"
    reason = _refused_join(scene.stranger, scene.relay.ports[1].v4.ip.compressed, wrong)
    scene.outcome.wrong_token_refused = True
    return reason, "pulse join … --token wrong"


def _join(scene: Scene) -> tuple[str, str]:
    scene.token = scene.relay.pulse("token", "create", "--ttl", "1h", "--max-uses", "1").stdout.split()[-1]
    begin = time.monotonic()
    scene.laptop.pulse("join", f"{scene.relay.v4.ip}:{PORT}", "--token", scene.token)
    scene.laptop.pulse("start", "--tun", "--listen", f":{PORT}")
    wait_until(lambda: _sees(scene.laptop, "relay") and _sees(scene.relay, "laptop"), "both nodes see each other")
    scene.outcome.join_s = round(time.monotonic() - begin, 2)
    return f"linked after {scene.outcome.join_s:.1f} s", "pulse join … --token …; pulse start --tun"


def _show_status(scene: Scene) -> tuple[str, str]:
    ours, theirs = _status(scene.relay), _status(scene.laptop)
    if not (ours.well and theirs.well):
        raise PulseError(f"not all is well: relay: {ours.sentence} laptop: {theirs.sentence}")
    return theirs.sentence.split(".")[0], "pulse status, on both"


def _ping(scene: Scene) -> tuple[str, str]:
    node = _status(scene.relay).node
    for address in (node.v6, node.v4):
        said = scene.laptop.run(["ping", "-c", "5", "-i", "0.2", "-W", "2", address]).stdout
    scene.outcome.ping_ms = float(said.rpartition(" = ")[2].split("/")[1])
    return f"{scene.outcome.ping_ms:.2f} ms", f"ping {node.v4}, and {node.v6}"


def _mesh_transfer(scene: Scene) -> tuple[str, str]:
    seen = measure(scene.laptop, scene.relay, _status(scene.relay).node.v4)
    scene.outcome.mesh_gbit = round(seen.gbit, 2)
    scene.outcome.hash_equal = seen.hash_equal
    if not seen.hash_equal:
        raise PulseError(f"what arrived is not what was sent: {seen.sent} and {seen.received}")
    return f"{seen.gbit:.1f} Gbit/s, SHA-256 equal", "1 GiB over TCP between mesh addresses"


def _refuse_reuse(scene: Scene) -> tuple[str, str]:
    reason = _refused_join(scene.stranger, scene.relay.ports[1].v4.ip.compressed, scene.token)
    scene.outcome.token_reuse_refused = True
    return reason, "pulse join … --token … once more"


def _refuse_stranger(scene: Scene) -> tuple[str, str]:
    """A node with a certificate of its own CA dials ours and must never be seen as a peer, by either."""
    door = f"{scene.relay.ports[1].v4.ip}:{PORT}"
    scene.stranger.pulse("start", "--ca", "--network", "demo", "--listen", f":{PORT}", door)
    deadline = time.monotonic() + _KNOCKS
    while time.monotonic() < deadline:
        if len(_status(scene.relay).peers) != 1 or any(peer.link != "-" for peer in _status(scene.stranger).peers):
            raise Refused("a stranger got a link")
        time.sleep(0.1)
    reason = _status(scene.stranger).sentence.partition(f"{door} is not reached: ")[2].partition(" (")[0]
    if "trusted CA" not in reason:
        raise PulseError(f"the stranger has no link, but not because of its CA: {_status(scene.stranger).sentence}")
    scene.outcome.stranger_refused = True
    return reason.partition(": ")[0], f"pulse start --ca {door}, with a CA of its own"


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


STEPS: Final = (
    Step("the bare cable's speed", _raw_link),
    Step("a first node, which is the CA", _start_authority),
    Step("a wrong token is refused", _refuse_wrong_token),
    Step("a second node joins with a token for one", _join),
    Step("both see each other", _show_status),
    Step("ping over mesh addresses", _ping),
    Step("1 GiB over the mesh, every byte checked", _mesh_transfer),
    Step("the used token is refused", _refuse_reuse),
    Step("a stranger with a CA of its own is refused", _refuse_stranger),
)
LEAVE: Final = Step("everything is removed", _leave)


def _refused_join(host: Host, address: str, token: str) -> str:
    """Try to join in vain; returns the reason in the words of the refusal. Raises Refused if it went through."""
    output = host.pulse("join", f"{address}:{PORT}", "--token", token, check=False)
    if output.code == 0:
        raise Refused(f"{host.name} joined with a token that is not good")
    if output.code != Refused.exit_code:
        raise PulseError(f"the join on {host.name} failed for another reason:\n{output.stderr}")
    return output.stderr.removeprefix("error: ").splitlines()[0].partition(":")[0].rstrip(".")


def _interfaces(host: Host) -> set[str]:
    return set(host.run(["ls", "/sys/class/net"]).stdout.split())


def _sees(host: Host, name: str) -> bool:
    return any(peer.name == name and peer.link != "-" for peer in _status(host).peers)


def _status(host: Host) -> schemas.Status:
    return msgspec.json.decode(host.pulse("status", "--json").stdout, type=schemas.Status)
