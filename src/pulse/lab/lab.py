"""A lab: many hosts on one Linux machine, built from a description and taken away again, whatever happens between.

Invariant: names are noted before what they name is made, and only what was noted is taken away.
"""

import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from pulse.errors import Conflict, NotFound
from pulse.lab import firewall, impairment, namespaces, nat
from pulse.lab.build import build, extend, lead_on, lines
from pulse.lab.host import HOSTS_FILE, Host
from pulse.lab.impairment import NONE, Impairment
from pulse.lab.line import Line
from pulse.lab.plan import OUTER_PORTS, TWO_HOSTS, Firewall, Nat, NetworkPlan, Plan, Port, check, hops, segments
from pulse.lab.state import STATE_ROOT, StateFile, all_states, create, end, identify, is_alive

GRACE: Final = 5.0
"""Seconds a program has to end by itself once asked."""


class Lab:
    """`with Lab(plan) as lab: lab["a"].run([...])`; hosts by name. Needs root, or a user namespace of its own."""

    def __init__(self, plan: Plan = TWO_HOSTS, root: Path = STATE_ROOT) -> None:
        check(plan)
        self._plan, self._root = plan, root
        self._state: StateFile | None = None
        self.hosts: Mapping[str, Host] = {}
        self._names: dict[str, str] = {name: name for name in plan.hosts}
        """Names that hosts know, and the host each of them means."""
        self._turns: Counter[str] = Counter()
        """How often each NAT changed the outer ports it gives."""
        self._lines: dict[int, Mapping[str, Line]] = {}
        """By network and host, once one was impaired."""

    def __enter__(self) -> Self:
        self._state = state = create(self._root)
        try:
            state.set_networks(network.hosts for network in self._plan.networks)
            self.hosts = build(self._plan, state)
            self._impair_as_planned()
        except BaseException:
            remove(state)
            raise
        self._write_names()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._state and self._state.record.keeper:
            remove(self._state)
            senders = [line.sender for found in self._lines.values() for line in found.values()]
            for host in (*self.hosts.values(), *senders):
                host.reap()

    def __getitem__(self, host: str) -> Host:
        return self.hosts[host]

    @property
    def plan(self) -> Plan:
        """What it is just now."""
        return self._plan

    @property
    def name(self) -> str:
        """The name it goes by in `pulse lab enter` and `pulse lab clean`."""
        return self._built().record.name

    def keep(self) -> None:
        """Leave it up when the block ends: nobody's, until `pulse lab clean` takes it away."""
        self._built().keep(None)

    # Changes while hosts run

    def join_network(self, *hosts: str) -> None:
        """Put running hosts on one more network: a cable between two of them, a switch between more."""
        plan = msgspec.structs.replace(self._plan, networks=(*self._plan.networks, NetworkPlan(hosts)))
        check(plan)
        self._built().set_networks(network.hosts for network in plan.networks)
        extend(plan, self.hosts, self._built())
        before, self._plan = self._plan, plan
        for host in self.hosts:
            if nat.gateway(plan, host) != nat.gateway(before, host):
                self._start_nat(host, plan)
        self._write_names()

    def cut(self, one: str, other: str) -> None:
        """Pull the cables that join these two hosts alone. Raises NotFound if there is none."""
        for port in self._cable_ends(one, other):
            namespaces.set_down(self[one].namespace, port.interface)

    def mend(self, one: str, other: str) -> None:
        """Plug the cables that join these two hosts alone in again. Raises NotFound if there is none."""
        for port in self._cable_ends(one, other):
            namespaces.set_up(self[one].namespace, port.interface)
        # What led over a cable that was pulled went with it.
        lead_on(self.hosts, (hop for hop in hops(self._plan) if hop.host == one))

    def unplug(self, host: str, network: int | None = None) -> None:
        """Pull the cables of a host, or that to one network. Raises NotFound if there is none."""
        for port in self._ports_of(host, network):
            namespaces.set_down(self[host].namespace, port.interface)

    def plug_in(self, host: str, network: int | None = None) -> None:
        """Plug the cables of a host in again, or that to one network. Raises NotFound if there is none."""
        for port in self._ports_of(host, network):
            namespaces.set_up(self[host].namespace, port.interface)
        lead_on(self.hosts, (hop for hop in hops(self._plan) if hop.host == host))

    def set_nat(
        self, host: str, kind: Nat, *, hairpin: bool | None = None, ports: tuple[int, int] = OUTER_PORTS
    ) -> None:
        """Make a NAT one of another class, or the same anew; it forgets all mappings. Raises NotFound if it is none."""
        described = self._plan.hosts[host]
        turns_back = described.hairpin if hairpin is None else hairpin
        changed = msgspec.structs.replace(described, nat=kind, hairpin=turns_back, ports=ports)
        self._start_nat(host, msgspec.structs.replace(self._plan, hosts={**self._plan.hosts, host: changed}))

    def rebind_nat(self, host: str) -> None:
        """Let a NAT forget all mappings and give other outer ports from now on. Raises NotFound if it is none."""
        self._turns[host] += 1
        self._start_nat(host, self._plan)

    def set_firewall(self, host: str, what: Firewall | None) -> None:
        """Shut a kind of traffic to a host and all it passes on, or, with None, open all."""
        firewall.shut(self[host].namespace, what)

    def impair(self, network: int, what: Impairment = NONE, *, to: str | None = None) -> None:
        """Treat packets on a network like this from now on, or only those on their way to one of its hosts.

        Raises ConfigError if that cannot be made, NotFound if it is nowhere.
        """
        impairment.check(f"networks[{network}].impair", what)
        for line in self._lines_to(network, to):
            line.impair(what)

    def interrupt(self, network: int, seconds: float, *, to: str | None = None) -> None:
        """Let nothing pass on a network, or to one of its hosts, for a while; it ends by itself. Raises NotFound."""
        for line in self._lines_to(network, to):
            line.interrupt(seconds)

    def add_name(self, name: str, host: str) -> None:
        """Let every host know `host` under one more name, such as relay.example.com."""
        self._names[name] = self[host].name
        self._write_names()

    # Details

    def _impair_as_planned(self) -> None:
        for number, network in enumerate(self._plan.networks):
            for host in network.hosts:
                what = network.impair_to.get(host, network.impair)
                if what != NONE:
                    self.impair(number, what, to=host)

    def _lines_to(self, network: int, to: str | None) -> list[Line]:
        if not 0 <= network < len(self._plan.networks):
            raise NotFound(f"there is no networks[{network}] here: this lab has {len(self._plan.networks)}")
        if network not in self._lines:
            self._lines[network] = lines(segments(self._plan)[network], self.hosts, self._built())
        found = self._lines[network]
        if to is not None and to not in found:
            raise NotFound(f"{to} is not on networks[{network}] (there are: {', '.join(found)})")
        return [found[to]] if to is not None else list(found.values())

    def _start_nat(self, host: str, plan: Plan) -> None:
        to = nat.gateway(plan, host)
        if to is None or self._plan.hosts[host].nat is None:
            raise NotFound(f"{host} is no NAT: say in the lab's description which one it is")
        nat.start(self[host].namespace, to, self._turns[host])
        self._plan = plan

    def _ports_of(self, host: str, network: int | None) -> list[Port]:
        ports = [port for port in self[host].ports if network in (None, port.network)]
        if not ports:
            raise NotFound(f"no cable joins {host} and networks[{network}]")
        return ports

    def _cable_ends(self, one: str, other: str) -> list[Port]:
        """The ports of `one` whose cable leads to `other`."""
        numbers = [number for number, each in enumerate(self._plan.networks) if {*each.hosts} == {one, other}]
        if not numbers:
            raise NotFound(f"no cable joins {one} and {other} alone")
        return [port for port in self[one].ports if port.network in numbers]

    def _write_names(self) -> None:
        for host in self.hosts.values():
            lines = ["127.0.0.1 localhost", "::1 localhost"]
            lines += [f"{found} {name}" for name, to in self._names.items() if (found := host.way_to(self[to]))]
            # Written in place: programs that run already have this very file for their /etc/hosts.
            (host.directory / HOSTS_FILE).write_text("\n".join(lines) + "\n", encoding="ascii")

    def _built(self) -> StateFile:
        if self._state is None:
            raise RuntimeError("a lab is there inside its with block only")
        return self._state


def remove(state: StateFile) -> None:
    """End every process of a lab and take away all it made. Raises SystemRefused."""
    record = state.record
    _end_processes(state)
    for namespace in record.hosts.values():
        namespaces.remove_namespace(namespace)
    state.remove()


def clean(name: str | None = None, root: Path = STATE_ROOT) -> list[str]:
    """Remove the lab `name`, or all that nobody keeps any more; returns their names.

    Raises NotFound, Conflict while the program that made it still runs, or SystemRefused if it is another user's.
    """
    removed = []
    for state in [find(name, root)] if name else all_states(root):
        if keeper := state.record.keeper:
            if is_alive(keeper) and name:
                raise Conflict(f"lab {name} is in use by process {keeper.pid}.\nEnd that first: kill {keeper.pid}")
            if is_alive(keeper):
                continue
        remove(state)
        removed.append(state.record.name)
    return removed


def find(name: str | None = None, root: Path = STATE_ROOT) -> StateFile:
    """Find the lab `name`, or the only one there is. Raises NotFound, naming those there are, or SystemRefused."""
    states = {state.record.name: state for state in all_states(root)}
    if name is None and len(states) == 1:
        return next(iter(states.values()))
    if name is None and states:
        raise NotFound(f"there are several labs here ({', '.join(states)}).\nSay which: --lab {next(iter(states))}")
    if name not in states:
        which = "no lab" if name is None else f"no lab {name}"
        raise NotFound(f"there is {which} here (there are: {', '.join(states) or 'none'}).\nMake one: pulse lab up")
    return states[name]


def interface_of(state: StateFile, host: str, other: str) -> str:
    """Name the interface of a host on the first network it shares with another. Raises NotFound."""
    ours = [hosts for hosts in state.record.networks if host in hosts]
    for place, hosts in enumerate(ours):
        if other in hosts and other != host:
            return f"eth{place}"
    near = sorted({each for hosts in ours for each in hosts} - {host})
    raise NotFound(f"no network of this lab joins {host} and {other} (with {host} are: {', '.join(near) or 'none'})")


def _end_processes(state: StateFile) -> None:
    """Ask all to end, give them a moment, then make them; also those that a program of ours left behind."""
    inside = {pid for namespace in state.record.hosts.values() for pid in namespaces.processes_in(namespace)}
    processes = {*state.record.processes, *filter(None, map(identify, inside))}
    end(processes, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    end(processes, signal.SIGKILL)
