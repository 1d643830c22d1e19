"""Real nodes on lab hosts, as end-to-end tests speak of them."""

import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from msgspec import structs

from pulse.calls.acls import AclCalls
from pulse.calls.trace import TraceCalls
from pulse.client import connect
from pulse.core.network.netconfig import open_config, sign_config
from pulse.core.network.policy import Rule
from pulse.core.trust.authorities import trusted_authorities
from pulse.core.trust.roles import open_roles
from pulse.errors import NotFound
from pulse.lab.host import Host, Output, wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import HostPlan, NetworkPlan, Plan
from pulse.lab.state import identify
from pulse.schemas.node import PeerRow, Status
from pulse.schemas.paths import Trace
from pulse.store import identity
from pulse.store.netconfig import NetworkStore

PORT = 8443
PATIENCE = 30.0
"""Seconds anything may take: ten times what it should, so a guard against hanging only."""

WITH_STRANGER = Plan(
    hosts={"a": HostPlan(), "b": HostPlan(), "s": HostPlan()},
    networks=(NetworkPlan(("a", "b")), NetworkPlan(("a", "s"))),
)
"""Host a has a cable to b, and another one to s, who does not belong."""


@dataclass(frozen=True, slots=True)
class Node:
    """A pulse on one host of the lab."""

    host: Host

    @property
    def underlay(self) -> str:
        """`address:port` its neighbours reach it at."""
        return f"{self.host.v4.ip}:{PORT}"

    def start(self, *flags: str) -> None:
        """Start the daemon with a TUN device; returns when it is up."""
        # Without a host all addresses of the machine are told, for there is none that all others reach.
        told = self.underlay if len(self.host.ports) == 1 else f":{PORT}"
        self.host.pulse("start", "--tun", "--addr", told, "--listen", f":{PORT}", *flags)

    def stop(self) -> None:
        """Stop the daemon."""
        self.host.pulse("stop")

    def kill(self) -> None:
        """End the daemon as a power cut would: kill -9."""
        daemon = self.pid
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: not is_alive(daemon), f"the daemon of {self.host.name} is gone", PATIENCE)

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self.host.pulse_pid

    @property
    def log(self) -> str:
        """All its log has."""
        return (self.host.data / "pulse.log").read_text(encoding="utf-8")

    @property
    def drops(self) -> dict[str, int]:
        """Packets it dropped, by reason; only reasons there were."""
        return self.status().drops

    def dropped(self, reason: str, act: Callable[[], object], count: int = 1) -> int:
        """How many packets more it drops for that reason by `act`, once there are `count`."""
        before = self.drops.get(reason, 0)
        act()
        wait_until(
            lambda: self.drops.get(reason, 0) >= before + count, f"{self.host.name} drops for {reason}", PATIENCE
        )
        return self.drops[reason] - before

    def pings(self, address: str, *flags: str) -> Output:
        """What three pings of an address came to, whatever it is."""
        return self.host.run(["ping", "-c", "3", "-i", "0.2", "-W", "2", *flags, address], check=False)

    def shouts(self, address: str, *flags: str) -> None:
        """Send three pings to an address that will not answer, and wait for nothing."""
        self.host.run(["ping", "-q", "-c", "3", "-i", "0.01", "-W", "0.1", *flags, address], check=False)

    def reaches(self, other: "Node") -> bool:
        """True if pings to both mesh addresses of the other are answered."""
        node = other.status().node
        return all(self.pings(address).code == 0 for address in (node.v4, node.v6))

    def status(self) -> Status:
        """What it says of the mesh."""
        with connect(self.host.data) as client:
            return client.status()

    @property
    def config(self) -> str:
        """The number of the network config in force there."""
        with connect(self.host.data) as client:
            return AclCalls(client).policy().version

    @property
    def v4(self) -> str:
        """Its IPv4 address in the mesh."""
        return self.status().node.v4

    @property
    def v6(self) -> str:
        """Its IPv6 address in the mesh."""
        return self.status().node.v6

    def token(self, *flags: str) -> str:
        """Mint a token; this node has to be the CA."""
        return self.host.pulse("token", "create", *flags).stdout.split()[-1]

    def join(self, door: "Node", token: str) -> None:
        """Become a member over `door`."""
        self.host.pulse("join", self.way_to(door), "--token", token)

    def way_to(self, other: "Node") -> str:
        """`address:port` at which this one's machine reaches the other's."""
        return f"{self.host.way_to(other.host)}:{PORT}"

    def tries(self, *arguments: str) -> Output:
        """What a command that may fail came to."""
        return self.host.pulse(*arguments, check=False)

    def wait_linked(self, *others: "Node") -> None:
        """Wait until there is a link to each of the others."""
        names = {other.host.name for other in others}

        def linked() -> bool:
            return names <= {peer.name for peer in self.status().peers if peer.link != "-"}

        wait_until(linked, f"{self.host.name} has links to {', '.join(sorted(names))}", PATIENCE)

    # Paths

    def sees(self, other: "Node") -> PeerRow:
        """How it sees another node. Raises NotFound if it knows none of that name."""
        for row in self.status().peers:
            if row.name == other.host.name:
                return row
        raise NotFound(f"{self.host.name} knows no {other.host.name}")

    def has_path(self, other: "Node") -> bool:
        """True if it has a path to the other, of any kind."""
        return any(row.name == other.host.name and row.link != "-" for row in self.status().peers)

    def is_direct(self, other: "Node") -> bool:
        """True if nobody is between the two."""
        return self.has_path(other) and self.sees(other).via == ""

    def is_relayed(self, other: "Node", via: "Node | None" = None) -> bool:
        """True if others are between the two, `via` first if it is given."""
        if not self.has_path(other):
            return False
        relay = self.sees(other).via
        return relay == via.host.name if via else relay != ""

    def wait_path(self, *others: "Node") -> None:
        """Wait until it has a path to each of the others."""
        for other in others:
            self._wait(partial(self.has_path, other), f"has a path to {other.host.name}")

    def wait_reaches(self, other: "Node") -> None:
        """Wait until pings to both mesh addresses of the other are answered."""
        self.wait_path(other)
        self._wait(lambda: self.reaches(other), f"reaches {other.host.name}")

    def wait_direct(self, other: "Node") -> None:
        """Wait until nobody is between the two."""
        self._wait(lambda: self.is_direct(other), f"has a direct path to {other.host.name}")

    def wait_relayed(self, other: "Node", via: "Node | None" = None) -> None:
        """Wait until others are between the two."""
        over = f" over {via.host.name}" if via else " over others"
        self._wait(lambda: self.is_relayed(other, via), f"has a path to {other.host.name}{over}")

    def trace(self, other: "Node") -> Trace:
        """The way frames take to the other."""
        with connect(self.host.data) as client:
            return TraceCalls(client).trace(other.host.name)

    def _wait(self, true: Callable[[], object], what: str) -> None:
        wait_until(true, f"{self.host.name} {what}", PATIENCE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A CA and a member, linked, each with a TUN device."""

    lab: Lab
    ca: Node
    member: Node

    @property
    def errors(self) -> list[str]:
        """Lines in the logs that mean something is broken."""
        return errors_of((self.ca, self.member))


@dataclass(frozen=True, slots=True)
class Mesh:
    """Nodes by host, all of them members of one mesh."""

    lab: Lab
    nodes: Mapping[str, Node]

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    @property
    def errors(self) -> list[str]:
        """Lines in the logs that mean something is broken."""
        return errors_of(self.nodes.values())

    def wait_whole(self) -> None:
        """Wait until everybody has a path to everybody."""
        for node in self.nodes.values():
            node.wait_path(*(other for other in self.nodes.values() if other is not node))


def errors_of(nodes: Iterable[Node]) -> list[str]:
    """Lines in the logs of nodes that mean something is broken."""
    lines = [line for node in nodes for line in node.log.splitlines()]
    return [line for line in lines if " ERROR " in line or "Traceback" in line]


def write_rules(scribe: Node, rules: Sequence[Rule]) -> None:
    """The next network config, with these rules, as the scribe signs it; its daemon is not running."""
    data_dir = scribe.host.data
    held, store = identity.load(data_dir), NetworkStore(data_dir)
    me, roles, config = held.certificate, store.load_roles().data, store.load_config().data
    assert roles is not None
    assert config is not None
    authorities = trusted_authorities(me.network, held.authorities, held.successions)
    office = open_roles(roles, me.network, authorities).roles
    before = open_config(config, me.network, authorities, office, me.public_key).config
    following = structs.replace(
        before, scribe_epoch=office.scribe_epoch, generation=before.generation + 1, acl=list(rules)
    )
    signed = sign_config(me.network, following, held.key)
    store.save_config(*signed.number, signed.data)


def is_alive(pid: int) -> bool:
    """True while that process runs."""
    return identify(pid) is not None


def bring_up(lab: Lab, *flags: str) -> Pair:
    """Make a mesh of hosts a (the CA) and b, and wait until they are linked."""
    ca, member = Node(lab["a"]), Node(lab["b"])
    ca.start("--ca", "--network", "test", *flags)
    member.join(ca, ca.token("--max-uses", "1"))
    member.start(*flags)
    member.wait_linked(ca)
    ca.wait_linked(member)
    return Pair(lab, ca, member)


def bring_up_mesh(lab: Lab, doors: Mapping[str, str], *flags: str, rules: Sequence[Rule] = ()) -> Mesh:
    """The first host is CA and scribe; each with a door joins over it, which is a member by then. Waits for all."""
    first = next(iter(lab.hosts))
    nodes = {name: Node(lab[name]) for name in (first, *doors)}
    ca = nodes[first]
    ca.start("--ca", "--scribe", "--network", "test", *flags)
    if rules:
        ca.stop()
        write_rules(ca, rules)
        ca.start(*flags)
    for name, door in doors.items():
        nodes[name].join(nodes[door], ca.token("--max-uses", "1"))
        nodes[name].start(*flags)
        # A door hands the next join on to the CA, so it has to be there itself.
        nodes[name].wait_path(ca)
    mesh = Mesh(lab, nodes)
    mesh.wait_whole()
    return mesh


def bring_up_relay(lab: Lab, *flags: str) -> Mesh:
    """A CA that is a relay, and two nodes that reach nobody else (`topologies.RELAY`)."""
    return bring_up_mesh(lab, {"left": "relay", "right": "relay"}, *flags)


def bring_up_two_relays(lab: Lab, *flags: str, rules: Sequence[Rule] = ()) -> Mesh:
    """The same with a second relay, which is no CA (`topologies.TWO_RELAYS`)."""
    return bring_up_mesh(lab, {"spare": "relay", "left": "relay", "right": "spare"}, *flags, rules=rules)


def bring_up_chain(lab: Lab) -> Mesh:
    """A CA at one end of a chain, where each joins over the one before (`topologies.CHAIN`)."""
    return bring_up_mesh(lab, {"r1": "a", "r2": "r1", "r3": "r2", "b": "r3"})
