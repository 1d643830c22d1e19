"""A node over all its lives: its machine, its disk, its clock, whom it was told to dial.

Invariant: a life begins with what the disk holds and nothing else, the boot count raised first.
"""

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from pulse.core.effects import Effect, TrustChanged
from pulse.core.facts import AddressesChanged, ClockRead, LinkSample, LinksSampled, PeerWanted, SourcesChanged
from pulse.core.messages import ObjectKind
from pulse.core.trust.certificates import Certificate, verify
from pulse.core.types import NodeId
from pulse.errors import PulseError
from tests.authority import NOW
from tests.sim import face, identities
from tests.sim.daemon import Daemon
from tests.sim.disk import Disk
from tests.sim.underlay import Machine

if TYPE_CHECKING:
    from tests.sim.link import End
    from tests.sim.world import World

SAMPLED_EVERY = 5.0
"""Seconds between two readings of the links' figures; each second just after they changed."""

LIVELY = 6
"""Readings a second apart after a change."""

PROBES_A_SECOND = 2
NOISE = 0.03
"""Share by which a measured round trip is off."""

CLOCK_READ_EVERY = 60.0


@dataclass(eq=False, slots=True)
class SimNode:
    """One node; of a clone there are two with one key."""

    world: "World"
    name: str
    number: int
    machine: Machine
    is_ca: bool = False
    configured: tuple[str, ...] = ()
    """Addresses a person told it to dial, the door it joined by among them."""
    disk: Disk = field(default_factory=Disk)
    skew: float = 0.0
    """Seconds its wall clock is ahead."""
    daemon: Daemon | None = None
    gone: bool = False
    """It will not run again."""
    traffic: dict[str, float] = field(default_factory=dict)
    """When this life of it last had traffic for whom."""
    _lively: int = 0

    @property
    def id(self) -> NodeId:
        """Its id."""
        return identities.certificate(self.number, is_ca=self.is_ca).node_id

    @property
    def alive(self) -> bool:
        """True while its daemon runs."""
        return self.daemon is not None and self.daemon.alive

    @property
    def running(self) -> Daemon:
        """Its daemon, which must run."""
        if self.daemon is None or not self.daemon.alive:
            raise AssertionError(f"{self.name} does not run")
        return self.daemon

    def wall(self) -> float:
        """Its wall clock, seconds since 1970."""
        return NOW + self.world.now + self.skew

    # Its lives

    def start(self) -> None:
        """A daemon starts, as `pulse start` does."""
        if self.alive or self.gone:
            return
        self.disk.boot += 1
        self.traffic.clear()
        random = self.world.random
        chance = Random(random.getrandbits(64))
        mesh = face.build(self.number, chance, boot=self.disk.boot, floors=self.disk.floors, is_ca=self.is_ca)
        daemon = Daemon(self.world, self, mesh, random.randbytes(16), random.uniform(0.0, 1e5), started=self.world.now)
        self.daemon = daemon
        self.world.say(f"{self.name} starts (boot {self.disk.boot})", self.name)
        daemon.perform(self._restored(daemon))
        daemon.tell(ClockRead(self.wall()))
        daemon.tell(AddressesChanged(self.machine.addresses))
        for address in self.configured:
            daemon.perform(daemon.mesh.peer_configured(address, daemon.time))
        self.world.after(random.uniform(0.5, 1.5), lambda: self._sample(daemon))
        self.world.after(CLOCK_READ_EVERY, lambda: self._read_clock(daemon))

    def kill(self) -> None:
        """Kill its daemon with signal 9."""
        if self.alive:
            self.world.say(f"{self.name} is killed", self.name)
            self.running.kill()

    def stop(self) -> None:
        """Stop its daemon with SIGTERM."""
        if self.alive:
            self.world.say(f"{self.name} stops", self.name)
            self.running.stop()

    def restore(self, backup: Disk) -> None:
        """An old copy of its data directory is put back while it does not run."""
        if self.alive:
            raise AssertionError(f"{self.name} runs: its disk cannot be replaced")
        self.world.say(f"{self.name} gets an old disk (boot {backup.boot})", self.name)
        self.disk = backup.copy()

    # What it is told

    def moved(self) -> None:
        """Its machine has other addresses now."""
        if self.alive:
            self.running.tell(SourcesChanged(tuple(self.running.ends)))
            self.running.tell(AddressesChanged(self.machine.addresses))

    def wants(self, other: "SimNode") -> None:
        """Traffic for a node after a while of none."""
        if self.alive:
            self.traffic[other.name] = self.world.now
            self.running.tell(PeerWanted(other.id))

    def states(self, kind: ObjectKind, data: bytes) -> None:
        """Something was signed here, by the CA or the scribe."""
        daemon = self.running
        self.world.say(f"{self.name} signs {kind.name.lower()}", self.name)
        daemon.perform(daemon.mesh.object_made(kind, data, daemon.time))

    def figures_changed(self) -> None:
        """Its links got better or worse: it reads their figures each second for a while."""
        if not self._lively and self.alive:
            daemon = self.running
            self._lively = LIVELY
            self.world.after(self.world.random.uniform(0.5, 1.0), lambda: self._sample_soon(daemon))

    # Details

    def _restored(self, daemon: Daemon) -> list[Effect]:
        """As `services/persist.py` brings it back."""
        disk, mesh, now = self.disk, daemon.mesh, daemon.time
        peers = [each for each in disk.peers.values() if self._believes(each[0])]
        for certificate, _ in peers:
            mesh.members.certificate_seen(certificate)
        effects = mesh.objects_restored(disk.objects(), now)
        for certificate, addresses in peers:
            effects += mesh.peer_restored(certificate, addresses, now)
        daemon.distrusted = mesh.statements.revoked()
        return [*(each for each in effects if not isinstance(each, TrustChanged)), mesh.tables()]

    def _believes(self, certificate: Certificate) -> bool:
        floor = identities.certificate(self.number, is_ca=self.is_ca).not_before
        try:
            verify(certificate, (identities.CA.authority,), self.wall(), floor)
        except PulseError:
            return False
        return True

    def _sample(self, daemon: Daemon) -> None:
        if daemon.alive:
            self._read_figures(daemon)
            self.world.after(SAMPLED_EVERY, lambda: self._sample(daemon))

    def _sample_soon(self, daemon: Daemon) -> None:
        if not daemon.alive or daemon is not self.daemon:
            self._lively = 0
            return
        self._read_figures(daemon)
        self._lively -= 1
        if self._lively:
            self.world.after(1.0, lambda: self._sample_soon(daemon))

    def _read_figures(self, daemon: Daemon) -> None:
        if not self.machine.is_public:
            for end in daemon.ends.values():
                end.link.keep_open(end)
        ends = [end for end in daemon.ends.values() if not end.link.broken]
        samples = tuple(self._sampled(end) for end in ends)
        if samples:
            daemon.tell(LinksSampled(samples))
        for end in ends:
            self._maybe_doubt(end)

    def _sampled(self, end: "End") -> LinkSample:
        here, there = self.machine, end.far.daemon.machine
        underlay, random = self.world.underlay, self.world.random
        rtt = 2 * underlay.delay(here, there) * (1 + NOISE * random.random())
        lost = 1 - (1 - underlay.loss(here, there)) ** 2
        return LinkSample(end.id, rtt, rtt * NOISE, lost * (1 + NOISE * random.random()) / (1 + NOISE))

    def _maybe_doubt(self, end: "End") -> None:
        """Chance takes three echoes in a row, or eight, now and then on a bad link."""
        lost = 1 - (1 - self.world.underlay.loss(self.machine, end.far.daemon.machine)) ** 2
        if lost < 0.05 or not end.up:
            return
        chance, probes = self.world.random.random(), PROBES_A_SECOND * SAMPLED_EVERY
        if chance < probes * lost**8:
            end.link.close(end, "timeout")
        elif chance < probes * lost**3:
            end.link.doubt(end, self.world.random.uniform(0.2, 2.0))

    def _read_clock(self, daemon: Daemon) -> None:
        if daemon.alive:
            daemon.tell(ClockRead(self.wall()))
            self.world.after(CLOCK_READ_EVERY, lambda: self._read_clock(daemon))
