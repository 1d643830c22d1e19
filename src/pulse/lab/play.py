"""Plays a scenario: nodes come up, faults befall them on the clock, and what is expected is watched for meanwhile.

Invariant: one thread changes the lab, those that watch only ask; a fault that cannot be done ends the play.
"""

import shlex
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import tomli_w

from pulse.errors import NotFound, PulseError
from pulse.lab import mesh, namespaces
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from pulse.lab.laptop import Laptop
from pulse.lab.plan import Firewall, PulsePlan
from pulse.lab.scenario import Do, Expectation, Fault, Reached, Scenario, network_number, seconds

BETWEEN_LOOKS: Final = 0.1
COMMAND_PATIENCE: Final = 60.0


class Happened(msgspec.Struct, frozen=True):
    """A fault, and the second at which it was done."""

    at: float
    fault: str


class Verdict(msgspec.Struct, frozen=True, rename={"source": "from"}):
    """What came of one expectation."""

    source: str
    to: str
    expected: str
    after: float
    within: float
    ok: bool
    took: float | None
    """Seconds from `after` until it was so; None if it was not in time."""
    seen: str
    """How it was at the end."""


class Report(msgspec.Struct, frozen=True):
    """A scenario that was played; `ok` if all was as expected."""

    scenario: str
    ok: bool
    seconds: float
    """From when all nodes were up."""
    faults: list[Happened]
    expectations: list[Verdict]


@dataclass(slots=True)
class Play:
    """A scenario in a lab that is up."""

    lab: Lab
    scenario: Scenario
    told: Callable[[str], None] = lambda _: None
    """Hears what happens, a line each."""
    laptops: dict[str, Laptop] = field(default_factory=dict)
    _addresses: dict[str, str] = field(default_factory=dict)
    """In the mesh, by host that is a member; empty without a TUN device."""
    _over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """Put hosts where they are at first and bring up the mesh. Raises PulseError, with what the node said."""
        for name, host in self.scenario.hosts.items():
            if host.at:
                self.laptops[name] = Laptop.at(self.lab, name, host.at)
        nodes = {name: host.pulse for name, host in self.scenario.hosts.items() if host.pulse}
        first = next((name for name, node in nodes.items() if node.ca), None)
        for name in sorted(nodes, key=lambda name: name != first):
            self._bring_up(self.lab[name], nodes[name], self.lab[first or name])
        for name in nodes:
            said = mesh.status(self.lab[name])
            self._addresses[name] = said.node.v4 if said.tun else ""

    def run(self, name: str) -> Report:
        """Let everything happen, and see whether all is as expected. Raises PulseError."""
        began = time.monotonic()
        happened: list[Happened] = []
        watching = ThreadPoolExecutor(max_workers=max(1, len(self.scenario.expect)))
        try:
            watched = [watching.submit(self._watch, each, began) for each in self.scenario.expect]
            for fault in sorted(self.scenario.fault, key=lambda each: each.moment):
                time.sleep(max(0.0, began + fault.moment - time.monotonic()))
                self.happen(fault)
                happened.append(Happened(round(time.monotonic() - began, 1), str(fault)))
                self.told(f"{happened[-1].at:6.1f} s  {fault}")
            verdicts = [each.result() for each in watched]
        finally:
            self._over.set()
            watching.shutdown()
        took = round(time.monotonic() - began, 1)
        return Report(name, all(each.ok for each in verdicts), took, happened, verdicts)

    def happen(self, fault: Fault) -> None:
        """Let a fault befall the lab. Raises PulseError if it cannot be."""
        try:
            self._acts()[fault.do](fault)
        except PulseError as error:
            raise type(error)(f"{fault} (at {fault.at}): {error}") from error

    # Faults

    def _acts(self) -> dict[Do, Callable[[Fault], object]]:
        lab = self.lab
        return {
            Do.UNPLUG: lambda fault: lab.unplug(fault.host, self._network(fault)),
            Do.PLUG: lambda fault: lab.plug_in(fault.host, self._network(fault)),
            Do.KILL: lambda fault: mesh.power_off(lab[fault.host]),
            Do.STOP: lambda fault: lab[fault.host].pulse("stop"),
            Do.FREEZE: lambda fault: mesh.tell(lab[fault.host], signal.SIGSTOP),
            Do.THAW: lambda fault: mesh.tell(lab[fault.host], signal.SIGCONT),
            Do.START: lambda fault: self._start(fault.host),
            Do.RESTART: self._restart,
            Do.IMPAIR: lambda fault: lab.impair(self._network(fault) or 0, fault.impair, to=fault.to or None),
            Do.INTERRUPT: lambda fault: lab.interrupt(
                self._network(fault) or 0, seconds(fault.lasting), to=fault.to or None
            ),
            Do.BLOCK_UDP: lambda fault: lab.set_firewall(fault.host, Firewall.UDP),
            Do.OPEN_UDP: lambda fault: lab.set_firewall(fault.host, None),
            Do.NAT: self._set_nat,
            Do.REBIND: lambda fault: lab.rebind_nat(fault.host),
            Do.CARRY: lambda fault: self.laptops[fault.host].carry_to(fault.to),
            Do.RENUMBER: lambda fault: self.laptops[fault.host].renumber(),
            Do.ROUTE: self._route,
            Do.RUN: lambda fault: lab[fault.host].run(shlex.split(fault.command), timeout=COMMAND_PATIENCE),
        }

    def _network(self, fault: Fault) -> int | None:
        return network_number(self.scenario, fault.network)

    def _start(self, host: str) -> None:
        self.lab[host].pulse("start")

    def _restart(self, fault: Fault) -> None:
        self.lab[fault.host].pulse("stop")
        self._start(fault.host)

    def _set_nat(self, fault: Fault) -> None:
        if fault.nat:
            self.lab.set_nat(fault.host, fault.nat)

    def _route(self, fault: Fault) -> None:
        """Routes of the lab name their networks, and would go before a default one."""
        host, router = self.lab[fault.host], self.lab[fault.to]
        commands = [f"route flush dev {port.interface} proto boot" for port in host.ports]
        namespaces.batch(host.namespace, [*commands, f"route replace default via {host.way_to(router)}"])

    # Nodes

    def _bring_up(self, host: Host, plan: PulsePlan, ca: Host) -> None:
        host.data.mkdir(mode=0o700, exist_ok=True)
        (host.data / "config.toml").write_text(tomli_w.dumps(_settings(host, plan)), encoding="utf-8")
        if not plan.ca:
            mesh.join(host, ca, self.lab[plan.join] if plan.join else None)
        host.pulse("start")
        self.told(f"{host.name} is up")

    # Expectations

    def _watch(self, expected: Expectation, began: float) -> Verdict:
        after, within = seconds(expected.after), seconds(expected.within)
        begin, took, seen = began + after, None, "nothing seen"
        self._over.wait(max(0.0, begin - time.monotonic()))
        while not self._over.is_set():
            seen, is_so = self._look(expected)
            if is_so:
                took = round(max(0.0, time.monotonic() - begin), 1)
            if is_so or time.monotonic() > begin + within:
                break
            self._over.wait(BETWEEN_LOOKS)
        ok = took is not None
        return Verdict(expected.source, expected.to, expected.words, after, within, ok, took, seen)

    def _look(self, expected: Expectation) -> tuple[str, bool]:
        """How one host reaches another just now, in words, and whether that is as expected."""
        of_mesh = all(self.scenario.hosts[name].pulse for name in (expected.source, expected.to))
        try:
            peer = mesh.row(self.lab[expected.source], expected.to) if of_mesh else None
        except (PulseError, OSError):
            return "its pulse does not answer", expected.reached is Reached.NO
        if of_mesh and (peer is None or not peer.reached):
            return "no path", expected.reached is Reached.NO
        if not self._answers(expected, of_mesh=of_mesh):
            return "no answer", expected.reached is Reached.NO
        if peer is None:
            return "answers", expected.reached is Reached.YES
        how = f"over {peer.via}, {peer.link}" if peer.via else f"directly, {peer.link}"
        fits = {
            Reached.DIRECT: not peer.via,
            Reached.RELAYED: bool(peer.via) and expected.via in ("", peer.via),
            Reached.YES: True,
            Reached.NO: False,
        }
        return how, fits[expected.reached] and expected.link in ("", peer.link)

    def _answers(self, expected: Expectation, *, of_mesh: bool) -> bool:
        """True if a ping is answered; without a TUN device there is nothing to ping, and the path counts."""
        source, target = self.lab[expected.source], self.lab[expected.to]
        if not of_mesh:
            address = str(source.way_to(target) or "")
        elif not (self._addresses[expected.source] and self._addresses[expected.to]):
            return True
        else:
            address = self._addresses[expected.to]
        return source.run(["ping", "-q", "-c1", "-W1", address], check=False).code == 0


def _settings(host: Host, plan: PulsePlan) -> dict[str, Any]:
    """What its config.toml says: what is written in the scenario, over what makes it a node of the lab."""
    ours: dict[str, dict[str, Any]] = {"node": {"listen": f":{mesh.PORT}"}, "tun": {"enabled": True}}
    if plan.ca:
        if not host.ports:
            raise NotFound(f"{host.name} is the CA and on no network, so nobody could join")
        ours |= {"ca": {"enabled": True}, "scribe": {"enabled": True}}
        # Without a host all addresses of the machine are told, for there is none that all others reach.
        ours["node"]["addr"] = f"{host.v4.ip if len(host.ports) == 1 else ''}:{mesh.PORT}"
    for section, keys in plan.settings.items():
        ours[section] = {**ours.get(section, {}), **keys}
    return ours
