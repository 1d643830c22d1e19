"""Kills nodes of a mesh under traffic and edits at random moments, and looks after each what is left.

python -m tests.killpoints.random                          2,000 kills (part of `make killpoints`)
python -m tests.killpoints.random --kills 100 --seed 7     fewer, with the choices of an earlier run

CA, scribe, relay and two members that reach each other over relays alone, each a real daemon with a TUN in a namespace
of its own, and a machine whose key was revoked and which knocks all the time. After each kill the invariants of
docs/reference/faults.md: I1 to I5 and I8 by what was acknowledged (`load.py`), I6 and the time it took, I7 against the
network of the machine before, I9. Invariant: the same seed makes the same choices; moments are those of real machines.
"""

import argparse
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import quantiles

from pulse.calls.acls import AclCalls
from pulse.calls.ca import CaCalls
from pulse.calls.events import EventCalls
from pulse.calls.tokens import TokenCalls
from pulse.client import connect
from pulse.errors import LinkError, PulseError, Refused
from pulse.lab.host import Output, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.mesh import Node, bring_up_mesh, errors_of
from tests.killpoints.invariants import all_certificates_are_journaled, all_is_private_and_whole
from tests.killpoints.load import MEMBERS, Load
from tests.namespace import ip

PLAN = joined(
    ("ca", "scribe", "relay", "spare", "out"),
    ("relay", "left"),
    ("relay", "right"),
    ("spare", "left"),
    ("spare", "right"),
)
DOORS = {"scribe": "ca", "relay": "ca", "spare": "ca", "left": "relay", "right": "spare"}

PATIENCE = 60.0
LONGEST_LIFE = 3.0
"""Seconds at most between a restart and the next kill."""

EVERY = 20
"""Kills between looks at what takes long: that all agree, and that the revoked machine is alone."""

KERNEL = (("addr",), ("route",), ("-6", "route"), ("rule",), ("-6", "rule"))
"""What is asked of it."""


@dataclass
class Scene:
    """A mesh under load."""

    nodes: Mapping[str, Node]
    out: Node
    load: Load
    random: Random
    networks: dict[str, set[str]]
    """What the kernel of each machine has of addresses and routes while pulse runs."""
    kills: Counter[str] = field(default_factory=Counter)
    back: list[float] = field(default_factory=list)
    """Seconds from the command that starts a killed node to its answer that it serves."""

    def kill_one(self) -> None:
        """One node, at once or a while after the last; it is started again and all must be well."""
        name = self.random.choice(sorted(self.nodes))
        victim = self.nodes[name]
        time.sleep(self.random.uniform(0.0, LONGEST_LIFE))
        victim.kill()
        began = time.monotonic()
        victim.start()
        self.back.append(time.monotonic() - began)
        self.kills[name] += 1
        self.look(name, victim)

    def look(self, name: str, victim: Node) -> None:
        """What holds after every kill."""
        others = [node for node in self.nodes.values() if node is not victim]
        wait_until(lambda: any(victim.has_path(each) for each in others), f"{name} is linked again", PATIENCE)
        try:
            wait_until(lambda: network_of(victim) == self.networks[name], f"the network of {name} as before", PATIENCE)
        except PulseError as error:
            raise AssertionError(network_of(victim) ^ self.networks[name]) from error
        all_is_private_and_whole(victim.host.data)
        with connect(victim.host.data) as client:
            assert EventCalls(client).events_verify().broken is None
        with self.load.paused():
            self.look_at_ca()
            self.look_at_scribe()

    def look_at_ca(self) -> None:
        """Tokens, certificates, revocations: what was acknowledged is there."""
        ca = self.nodes["ca"]
        all_certificates_are_journaled(ca.host.data)
        with connect(ca.host.data) as client:
            assert CaCalls(client).ca_verify().broken is None
            tokens = {each.id for each in TokenCalls(client).list_tokens()}
        assert self.load.tokens <= tokens, self.load.tokens - tokens
        kept = {path.name.removeprefix("revoked.") for path in (ca.host.data / "network").glob("revoked.*")}
        assert self.load.revoked <= kept, self.load.revoked - kept

    def look_at_scribe(self) -> None:
        """Edits: those acknowledged are made, of the others all or nothing, and the number never falls."""
        with connect(self.nodes["scribe"].host.data) as client:
            policy = AclCalls(client).policy()
        assert tuple(map(int, policy.version.split("."))) >= self.load.newest, (policy.version, self.load.newest)
        assert all(each.members == MEMBERS for each in policy.groups), policy.groups
        there = {each.name for each in policy.groups}
        wrong = {name for name, may_be in self.load.groups.items() if (name in there) not in may_be}
        assert not wrong, wrong
        assert not there & self.load.gone, there & self.load.gone

    def look_around(self) -> None:
        """All agree, packets pass, the revoked machine is linked with nobody, and a machine can still join."""
        with self.load.paused():
            wait_until(lambda: len({version(each) for each in self.nodes.values()}) == 1, "all agree", PATIENCE)
            left, right = self.nodes["left"], self.nodes["right"]
            wait_until(lambda: left.reaches(right), "left reaches right over relays", PATIENCE)
            assert [row for row in self.out.status().peers if row.link != "-"] == []
            self.join()

    def join(self) -> None:
        """A machine nobody saw before joins over a relay, and the token is used up by that."""
        ca, host = self.nodes["ca"], self.nodes["right"].host
        token = ca.token("--max-uses", "1")
        fresh, late = (host.data.with_name(f"joiner-{secrets.token_hex(4)}") for _ in range(2))
        wait_until(lambda: self._joins(token, fresh), "a machine joins by the command it was told to repeat", PATIENCE)
        tried = self._tries(token, late)
        assert tried.code == Refused.exit_code, tried

    def _joins(self, token: str, directory: Path) -> bool:
        """False if the node that is asked has yet to find its way to the CA: nothing is lost by that."""
        tried = self._tries(token, directory)
        assert tried.code in (0, LinkError.exit_code), tried
        return tried.code == 0

    def _tries(self, token: str, directory: Path) -> Output:
        """A machine beside right comes through it."""
        host = self.nodes["right"].host
        way = (self.nodes["right"].way_to(self.nodes["spare"]), "--token", token)
        command = [*host.pulse_command("join", *way)[:-2], "--data-dir", str(directory)]
        return host.run(command, check=False)

    def finish(self) -> None:
        """Each stops as it should, and leaves its machine as it found it."""
        for name, node in self.nodes.items():
            node.stop()
            assert "pulse0" not in ip(node.host.namespace, "link"), name
        assert errors_of([*self.nodes.values(), self.out]) == []


def version(node: Node) -> str:
    """Of the network config it holds; nothing if it does not say."""
    try:
        with connect(node.host.data) as client:
            return AclCalls(client).policy().version
    except PulseError:
        return ""


def network_of(node: Node) -> set[str]:
    """What its kernel has of addresses and routes, without the numbers of interfaces and what is left of their time."""
    found: set[str] = set()
    for asked in KERNEL:
        for line in ip(node.host.namespace, "-o", *asked).splitlines():
            text = re.sub(r"^\d+: |\\| expires \S+|\b(valid|preferred)_lft \S+|pref \S+", " ", line)
            found.add(" ".join(text.split()))
    # Each TUN has one of its own, drawn by the kernel.
    return {line for line in found if "stable-privacy" not in line}


@contextmanager
def scene(random: Random) -> Iterator[Scene]:
    """The mesh, its scribe apart from the CA, left an operator, traffic from left to right, and edits."""
    with Lab(PLAN) as lab:
        mesh = bring_up_mesh(lab, DOORS)
        ca, left, out = mesh["ca"], mesh["left"], Node(lab["out"])
        ca.host.pulse("ca", "grant", "scribe", "scribe")
        ca.host.pulse("ca", "grant", "left", "operator")
        out.join(ca, ca.token("--max-uses", "1"))
        out.start()
        ca.wait_linked(out)
        ca.host.pulse("revoke", "--node", out.status().node.id)
        lab["left"].popen(["ping", "-q", "-i", "0.01", mesh["right"].v4])
        load = Load(ca, left, Random(random.random()))
        made = Scene(mesh.nodes, out, load, random, {name: network_of(node) for name, node in mesh.nodes.items()})
        worker = threading.Thread(target=load.run, daemon=True)
        worker.start()
        try:
            yield made
        finally:
            load.stop()
            worker.join(PATIENCE)


def main() -> None:
    """Kill as often as the command line says; an error ends it, and the seed was printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with scene(Random(asked.seed)) as lived:
        for number in range(1, asked.kills + 1):
            lived.kill_one()
            if number % EVERY == 0 or number == asked.kills:
                lived.look_around()
                print(f"{number} kills {dict(lived.kills)}, acknowledged {dict(lived.load.done)}", flush=True)
        lived.load.stop()
        lived.finish()
        middle, late = (quantiles(lived.back, n=20)[place] for place in (9, 18))
        print(f"back after {middle:.2f} s (median), {late:.2f} s (p95), {max(lived.back):.2f} s at most", flush=True)
        print(f"not acknowledged: {dict(lived.load.failed)}", flush=True)


if __name__ == "__main__":
    main()
