"""A lab: many hosts on one Linux machine, built from a description and taken away again, whatever happens between.

Invariant: names are noted before what they name is made, and only what was noted is taken away.
"""

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pulse.errors import Conflict, NotFound
from pulse.lab import namespaces
from pulse.lab.host import Host
from pulse.lab.plan import TWO_HOSTS, Plan, Port, Segment, check, hops, segments
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

    def __enter__(self) -> Self:
        self._state = state = create(self._root)
        try:
            self.hosts = build(self._plan, state)
        except BaseException:
            remove(state)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._state and self._state.record.keeper:
            remove(self._state)
            for host in self.hosts.values():
                host.reap()

    def __getitem__(self, host: str) -> Host:
        return self.hosts[host]

    @property
    def name(self) -> str:
        """The name it goes by in `pulse lab enter` and `pulse lab clean`."""
        return self._built().record.name

    def keep(self) -> None:
        """Leave it up when the block ends: nobody's, until `pulse lab clean` takes it away."""
        self._built().keep(None)

    def _built(self) -> StateFile:
        if self._state is None:
            raise RuntimeError("a lab is there inside its with block only")
        return self._state


def build(plan: Plan, state: StateFile) -> dict[str, Host]:
    """Make all of a plan, hosts first. Raises SystemRefused, with part of it made and noted."""
    built = segments(plan)
    hosts = {name: _make_host(name, plan, built, state) for name in plan.hosts}
    for segment in built:
        _make_segment(segment, hosts, state)
    for name, host in hosts.items():
        namespaces.add_hops(host.namespace, (hop for hop in hops(plan) if hop.host == name))
    return hosts


def remove(state: StateFile) -> None:
    """End every process of a lab and take away all it made. Raises SystemRefused."""
    record = state.record
    _end_processes(state)
    for namespace in record.hosts.values():
        namespaces.remove_namespace(namespace)
    state.remove()


def clean(name: str | None = None, root: Path = STATE_ROOT) -> list[str]:
    """Remove the lab `name`, or all that nobody keeps any more; returns their names.

    Raises NotFound, or Conflict while the program that made it still runs.
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


def find(name: str, root: Path = STATE_ROOT) -> StateFile:
    """Find the lab `name`. Raises NotFound, naming those there are."""
    states = {state.record.name: state for state in all_states(root)}
    if name not in states:
        raise NotFound(
            f"there is no lab {name} here (there are: {', '.join(states) or 'none'}).\nMake one: pulse lab up"
        )
    return states[name]


def _make_host(name: str, plan: Plan, built: list[Segment], state: StateFile) -> Host:
    namespace = f"pulse-{state.record.name}-{name}"
    _note_new(name, namespace, state)
    namespaces.make_namespace(namespace, router=plan.hosts[name].router)
    directory = state.directory / name
    directory.mkdir(mode=0o700)
    ports = tuple(port for segment in built for port in segment.ports if port.host == name)
    return Host(name, namespace, directory, ports, state)


def _note_new(name: str, namespace: str, state: StateFile) -> None:
    """Note a name before it is used, but never one that is taken: what stands in the record gets removed."""
    if (namespaces.NAMESPACES / namespace).exists():
        raise Conflict(f"there is a network namespace {namespace} already, and this lab did not make it")
    state.add_host(name, namespace)


def _make_segment(segment: Segment, hosts: Mapping[str, Host], state: StateFile) -> None:
    if segment.switched:
        _make_switched(segment, hosts, state)
    else:
        one, other = segment.ports
        namespaces.lay_cable((_end_of(one, hosts), _end_of(other, hosts)), segment.mtu)
    for port in segment.ports:
        namespaces.address(hosts[port.host].namespace, port)


def _make_switched(segment: Segment, hosts: Mapping[str, Host], state: StateFile) -> None:
    """Make a switch, in a namespace of its own, and a cable from it to each host."""
    switch = f"pulse-{state.record.name}-switch{segment.number}"
    _note_new(f"(switch {segment.number})", switch, state)
    namespaces.make_namespace(switch, router=False)
    namespaces.make_switch(switch, segment)
    for place, port in enumerate(segment.ports):
        namespaces.lay_cable((_end_of(port, hosts), (switch, f"port{place}")), segment.mtu)
        namespaces.plug_in(switch, segment, f"port{place}")


def _end_of(port: Port, hosts: Mapping[str, Host]) -> tuple[str, str]:
    return hosts[port.host].namespace, port.interface


def _end_processes(state: StateFile) -> None:
    """Ask all to end, give them a moment, then make them; also those that a program of ours left behind."""
    inside = {pid for namespace in state.record.hosts.values() for pid in namespaces.processes_in(namespace)}
    processes = {*state.record.processes, *filter(None, map(identify, inside))}
    end(processes, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    end(processes, signal.SIGKILL)
