"""Makes what a plan describes: hosts, cables, switches and routes, at the start and while hosts run.

Invariant: names are noted before what they name is made.
"""

from collections.abc import Iterable, Mapping

from pulse.errors import Conflict
from pulse.lab import firewall, namespaces, nat
from pulse.lab.host import HOSTS_FILE, Host
from pulse.lab.line import Line
from pulse.lab.plan import Hop, Plan, Port, Segment, hops, segments
from pulse.lab.state import StateFile


def build(plan: Plan, state: StateFile) -> dict[str, Host]:
    """Make all of a plan, hosts first. Raises SystemRefused, with part of it made and noted."""
    hosts = {name: _make_host(name, plan, state) for name in plan.hosts}
    for segment in segments(plan):
        _make_segment(segment, hosts, state)
    # NATs before routes: nothing is to get through one as it is.
    for name, host in hosts.items():
        if to := nat.gateway(plan, name):
            nat.start(host.namespace, to)
        if what := plan.hosts[name].firewall:
            firewall.shut(host.namespace, what)
    lead_on(hosts, hops(plan))
    return hosts


def extend(plan: Plan, hosts: Mapping[str, Host], state: StateFile) -> Segment:
    """Make the last network of a plan whose others are there. Raises SystemRefused."""
    segment = segments(plan)[-1]
    _make_segment(segment, hosts, state)
    lead_on(hosts, hops(plan))
    return segment


def lead_on(hosts: Mapping[str, Host], ways: Iterable[Hop]) -> None:
    """Give hosts their routes, in place of those they had."""
    by_host: dict[str, list[Hop]] = {}
    for way in ways:
        by_host.setdefault(way.host, []).append(way)
    for name, found in by_host.items():
        namespaces.add_hops(hosts[name].namespace, found)


def lines(segment: Segment, hosts: Mapping[str, Host], state: StateFile) -> dict[str, Line]:
    """Find what leads to each host of a network that is there."""
    if segment.switched:
        switch = _enter_switch(segment, state)
        senders = [(switch, f"port{place}") for place in range(len(segment.ports))]
    else:
        senders = [(hosts[port.host], port.interface) for port in reversed(segment.ports)]
    return {
        port.host: Line(hosts[port.host], port, sender, interface, segment.mtu)
        for port, (sender, interface) in zip(segment.ports, senders, strict=True)
    }


def _enter_switch(segment: Segment, state: StateFile) -> Host:
    """A switch as a host that programs of the lab run on; its directory is none that a host can have."""
    directory = state.directory / f"(switch {segment.number})"
    directory.mkdir(mode=0o700)
    return Host(f"switch{segment.number}", _switch_of(segment, state), directory, (), state)


def _make_host(name: str, plan: Plan, state: StateFile) -> Host:
    namespace = f"pulse-{state.record.name}-{name}"
    _note_new(name, namespace, state)
    namespaces.make_namespace(namespace, router=plan.hosts[name].passes_on)
    directory = state.directory / name
    directory.mkdir(mode=0o700)
    (directory / HOSTS_FILE).touch()
    return Host(name, namespace, directory, (), state)


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
        hosts[port.host].ports += (port,)
    if segment.switched:
        for port in segment.ports:
            others = (other for other in segment.ports if other is not port)
            namespaces.introduce(hosts[port.host].namespace, port, others)


def _make_switched(segment: Segment, hosts: Mapping[str, Host], state: StateFile) -> None:
    """Make a switch, in a namespace of its own, and a cable from it to each host."""
    switch = _switch_of(segment, state)
    _note_new(f"(switch {segment.number})", switch, state)
    namespaces.make_namespace(switch, router=False)
    namespaces.make_switch(switch, segment)
    for place, port in enumerate(segment.ports):
        namespaces.lay_cable((_end_of(port, hosts), (switch, f"port{place}")), segment.mtu)
        namespaces.plug_in(switch, segment, f"port{place}")


def _switch_of(segment: Segment, state: StateFile) -> str:
    return f"pulse-{state.record.name}-switch{segment.number}"


def _end_of(port: Port, hosts: Mapping[str, Host]) -> tuple[str, str]:
    return hosts[port.host].namespace, port.interface
