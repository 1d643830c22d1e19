"""What is wrong with a node and what to do about it: one judge a check, facts in, findings out.

Invariant: each finding names the thing and the next step; a check that could not look says so and finds nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pulse.core import exitchecks, vitals
from pulse.core.findings import Finding, Gravity, Said, Unseen, told
from pulse.core.paths.nat import Mapping as Nat
from pulse.core.paths.sight import CLOCK_TOLERANCE
from pulse.core.symptoms import Running, Symptoms

LEAST_MTU: Final = 1280
"""QUIC's smallest datagrams fit, over IPv4 and IPv6."""
SOCKET_BYTES: Final = 1 << 21
"""Below this a burst overruns the socket before the packet thread gets to it."""
LEAST_FREE: Final = 64 << 20
LEAST_FILES: Final = 1024
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at, under the name people see."""

    name: str
    about: str
    judge: Callable[[str, Symptoms], Said]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, the gravest first; checks by name that found nothing, and those that could not look, and why."""

    findings: Sequence[Finding]
    well: Sequence[str]
    unseen: Sequence[tuple[str, str]]

    @property
    def is_well(self) -> bool:
        """True if nothing is wrong; notes are no wrongs."""
        return all(each.gravity is Gravity.NOTE for each in self.findings)


def examine(symptoms: Symptoms) -> Diagnosis:
    """Have every check look."""
    findings: list[Finding] = []
    well, unseen = list[str](), list[tuple[str, str]]()
    for check in CHECKS:
        said = [*check.judge(check.name, symptoms)]
        findings += (each for each in said if isinstance(each, Finding))
        unseen += ((check.name, each.why) for each in said if isinstance(each, Unseen))
        if not said:
            well.append(check.name)
    return Diagnosis(sorted(findings, key=lambda each: -each.gravity), well, unseen)


# The machine


def _state(name: str, symptoms: Symptoms) -> Said:
    machine = symptoms.machine
    if machine.closed:
        yield Unseen(machine.closed)
    elif machine.state_problem:
        yield told(name, Gravity.BROKEN, machine.state_problem, otherwise=f"look at it: ls -la {machine.data_dir}")
    elif not machine.member:
        what = f"this machine is in no network yet (nothing in {machine.data_dir})"
        yield Finding(
            name, Gravity.NOTE, what, "make one (pulse start --ca --scribe --tun) or join one (pulse join pls_…)"
        )


def _disk(name: str, symptoms: Symptoms) -> Said:
    machine = symptoms.machine
    if machine.disk_problem:
        fix = f"free some space, or make it writable: df -h {machine.data_dir}"
        yield Finding(
            name, Gravity.BROKEN, f"nothing can be written in {machine.data_dir}: {machine.disk_problem}", fix
        )
    elif machine.disk_free is None:
        yield Unseen(machine.closed or "there is no data directory")
    elif machine.disk_free < LEAST_FREE:
        what = f"{machine.disk_free / _MIB:.0f} MiB are left on the disk of {machine.data_dir}"
        yield Finding(name, Gravity.WARNING, what, f"free some space: df -h {machine.data_dir}")


def _config(name: str, symptoms: Symptoms) -> Said:
    if problem := symptoms.machine.config_problem:
        yield Finding(name, Gravity.BROKEN, problem, "correct it, then look again: pulse config check")


def _node(name: str, symptoms: Symptoms) -> Said:
    machine = symptoms.machine
    if machine.silence:
        what = f"process {machine.holder} has {machine.data_dir} and does not answer: {machine.silence}"
        yield Finding(name, Gravity.BROKEN, what, f"end it and start anew: kill -9 {machine.holder}; pulse start")
    elif symptoms.running is None and machine.member and not machine.state_problem:
        yield Finding(name, Gravity.WARNING, "no node is running", "pulse start, or: systemctl start pulse")


def _port(name: str, symptoms: Symptoms) -> Said:
    for problem in symptoms.machine.port_problems:
        yield told(name, Gravity.BROKEN, problem)


def _tun(name: str, symptoms: Symptoms) -> Said:
    machine, running = symptoms.machine, symptoms.running
    if not machine.tun_wanted:
        return
    if machine.tun_problem:
        fix = "load its module: modprobe tun; in a container: --device /dev/net/tun; open to its user: chmod 666"
        yield Finding(name, Gravity.BROKEN, f"/dev/net/tun cannot be used: {machine.tun_problem}", fix)
    elif running and not machine.route_conflict:
        yield from vitals.device(name, running)


def _rights(name: str, symptoms: Symptoms) -> Said:
    machine = symptoms.machine
    if not machine.tun_wanted:
        return
    if machine.may_configure is None:
        yield Unseen("the rights of the node's process are closed to this user")
    elif not machine.may_configure:
        who = "the node" if symptoms.running else "this user"
        fix = "run it as a service (sudo pulse install-service), with sudo, or without --tun"
        yield Finding(name, Gravity.BROKEN, f"{who} lacks CAP_NET_ADMIN, which --tun takes", fix)


def _buffers(name: str, symptoms: Symptoms) -> Said:
    machine = symptoms.machine
    if machine.socket_bytes is None:
        yield Unseen("/proc/sys/net/core is not there")
    elif machine.socket_bytes < SOCKET_BYTES and machine.may_configure is False:
        what = f"the kernel gives a UDP socket {machine.socket_bytes // 1024} KiB: bursts get lost"
        fix = f"sysctl -w net.core.rmem_max={SOCKET_BYTES} net.core.wmem_max={SOCKET_BYTES}, or give it CAP_NET_ADMIN"
        yield Finding(name, Gravity.NOTE, what, fix)


def _mtu(name: str, symptoms: Symptoms) -> Said:
    if symptoms.machine.mtus is None:
        yield Unseen("the interfaces of this machine could not be listed")
    for interface, mtu in (symptoms.machine.mtus or {}).items():
        if mtu < LEAST_MTU:
            what = f"{interface} takes packets of {mtu} bytes, and QUIC needs {LEAST_MTU}: links there are WebSockets"
            yield Finding(name, Gravity.WARNING, what, f"ip link set {interface} mtu 1500, if its network takes that")


def _resolver(name: str, symptoms: Symptoms) -> Said:
    for host, why in symptoms.machine.unresolved:
        what = f"{host}, which the settings name, has no address: {why}"
        yield Finding(name, Gravity.WARNING, what, f"is it spelled so? is there a resolver? getent hosts {host}")


def _firewall(name: str, symptoms: Symptoms) -> Said:
    machine = symptoms.machine
    if machine.dropping is None:
        yield Unseen("the firewall's rules could not be read (this takes root and nft)")
    for rule in machine.dropping or ():
        what = f"this machine's firewall drops UDP for port {machine.port}: {rule}"
        yield Finding(name, Gravity.WARNING, what, f"let it in before that rule: udp dport {machine.port} accept")


def _routes(name: str, symptoms: Symptoms) -> Said:
    if problem := symptoms.machine.route_conflict:
        yield told(name, Gravity.BROKEN, problem, otherwise="see the routes: ip route")


def _files(name: str, symptoms: Symptoms) -> Said:
    files = symptoms.machine.open_files
    if files is None:
        yield Unseen("the limits of the node's process are closed to this user")
    elif files < LEAST_FILES:
        what = f"the node may have {files} files open: with many streams it runs out"
        yield Finding(name, Gravity.WARNING, what, f"ulimit -n {LEAST_FILES * 64}, or LimitNOFILE= in the unit")


# Who the node is


def _certificate(name: str, symptoms: Symptoms) -> Said:
    machine, known = symptoms.machine, symptoms.running
    if known is None:
        if machine.certificate_until is None or machine.certificate_from is None:
            return
        left, life = machine.certificate_until - machine.wall, machine.certificate_until - machine.certificate_from
        known = Running(certificate_left=left, certificate_life=life)
    yield from vitals.ended(name, known)
    yield from vitals.late(name, known)


def _copies(name: str, symptoms: Symptoms) -> Said:
    for alarm in symptoms.running.alarms if symptoms.running else ():
        fix = "stop the copy of that data directory, and join it anew: pulse join pls_…; see pulse events --type clone"
        yield Finding(name, Gravity.BROKEN, f"two machines use one identity: {alarm}", fix)


def _clock(name: str, symptoms: Symptoms) -> Said:
    machine = symptoms.machine
    said = [*vitals.clock(name, symptoms.running)] if symptoms.running else []
    yield from said
    if not said and machine.certificate_from is not None and machine.wall < machine.certificate_from - CLOCK_TOLERANCE:
        what = "this clock is before the day on which the certificate was signed"
        yield Finding(name, Gravity.WARNING, what, vitals.SET_TIME)


# The mesh around it


def _udp(name: str, symptoms: Symptoms) -> Said:
    running = symptoms.running
    if running and running.links and not running.udp_links:
        what = "no UDP gets through: all links are WebSockets"
        fix = f"allow UDP out of this network, and UDP {symptoms.machine.port} in, at its router or firewall"
        yield Finding(name, Gravity.WARNING, what, fix)


def _ca(name: str, symptoms: Symptoms) -> Said:
    if symptoms.running:
        yield from vitals.rotation(name, symptoms.running)
    cas = symptoms.running.cas if symptoms.running else None
    if cas and not any(cas.values()):
        what = f"no CA is reached ({', '.join(cas)}): nobody joins, and certificates are not renewed"
        yield Finding(
            name, Gravity.WARNING, what, f"start it there: systemctl start pulse; then: pulse ping {next(iter(cas))}"
        )


def _scribe(name: str, symptoms: Symptoms) -> Said:
    running = symptoms.running
    if running is None:
        return
    yield from vitals.scribe(name, running)
    if not running.scribe_problem and running.scribe and not running.scribe_reached:
        what = f"the scribe {running.scribe} is not reached: the network config cannot be changed"
        yield Finding(
            name, Gravity.WARNING, what, f"start it there: systemctl start pulse; then: pulse ping {running.scribe}"
        )


def _api(name: str, symptoms: Symptoms) -> Said:
    running = symptoms.running or Running()
    for flag, address in running.in_clear.items():
        mesh = f"{running.v4}:{address.rpartition(':')[2]}"
        what = f"the API listens on {address} without TLS: keys, and what is told for them, cross networks in clear"
        fix = f"let it listen in the mesh ({flag} {mesh}), or on 127.0.0.1 behind a proxy with TLS"
        yield Finding(name, Gravity.WARNING, what, fix)


def _nat(name: str, symptoms: Symptoms) -> Said:
    running = symptoms.running
    if running and running.nat == Nat.SYMMETRIC and not running.port_mapped:
        what = "the router here is a symmetric NAT: holes cannot be punched, so traffic may go over relays"
        fix = f"let it map a port (UPnP, NAT-PMP, PCP), or forward UDP {symptoms.machine.port} by hand and give --addr"
        yield Finding(name, Gravity.NOTE, what, fix)


# Its records


def _journal(name: str, symptoms: Symptoms) -> Said:
    machine, running = symptoms.machine, symptoms.running
    if machine.journal_problem:
        what = f"the journal is not as it was written: {machine.journal_problem}"
        yield Finding(
            name, Gravity.WARNING, what, "see where: pulse events --verify; it goes on in a new file by itself"
        )
    if running and running.not_kept:
        yield told(
            name, Gravity.WARNING, running.not_kept, meaning="events are not kept: ", otherwise="see to the disk: df -h"
        )


def _log(name: str, symptoms: Symptoms) -> Said:
    if symptoms.running and symptoms.running.log_lost:
        what = f"{symptoms.running.log_lost} lines of the log were lost: the disk was full or too slow"
        yield Finding(name, Gravity.WARNING, what, f"free some space: df -h {symptoms.machine.data_dir}")


def _versions(name: str, symptoms: Symptoms) -> Said:
    machine, running = symptoms.machine, symptoms.running
    if running is None:
        return
    if machine.version and running.version and machine.version != running.version:
        what = f"the node that runs is pulse {running.version}, and {machine.version} is installed"
        yield Finding(name, Gravity.WARNING, what, "pulse restart, or: systemctl restart pulse")
    others = {
        at: each
        for at, each in (running.versions or {}).items()
        if each and _release(each) != _release(running.version)
    }
    if others:
        named = ", ".join(f"{at} {each}" for at, each in sorted(others.items())[:4])
        more = f" and {len(others) - 4} more" if len(others) > 4 else ""
        what = f"other releases run elsewhere: {named}{more}; here {running.version}"
        yield Finding(name, Gravity.NOTE, what, "bring them to one release when it suits: they go on meanwhile")


def _release(version: str) -> tuple[str, ...]:
    """Major and minor number: what differs in the third goes together."""
    return tuple(version.split(".")[:2])


def _known(judge: vitals.Judge) -> Callable[[str, Symptoms], Said]:
    """A check for which all there is to see is known to the node itself."""
    return lambda name, symptoms: judge(name, symptoms.running) if symptoms.running else iter(())


CHECKS: Final = (
    Check("state", "the data directory is private, ours and undamaged", _state),
    Check("disk", "the data directory can be written, with room to spare", _disk),
    Check("config", "settings of file and environment are understood", _config),
    Check("node", "the node runs and answers", _node),
    Check("port", "no other program has the node's UDP and TCP port", _port),
    Check("tun", "/dev/net/tun is there, and the device has its mesh addresses", _tun),
    Check("rights", "with `--tun`: CAP_NET_ADMIN", _rights),
    Check("buffers", "UDP sockets get buffers of 2 MiB (CAP_NET_ADMIN goes past the limit)", _buffers),
    Check("mtu", "interfaces take packets of 1,280 bytes", _mtu),
    Check("resolver", "names in the settings have addresses", _resolver),
    Check("firewall", "nft on this machine does not drop UDP for the node's port", _firewall),
    Check("routes", "no route or address of this machine lies inside the mesh range", _routes),
    Check("names", "this machine asks the node for names under .pulse, if that was set up", _known(vitals.names)),
    Check("exits", "approved ranges are carried by exits, and nothing goes past these", _known(vitals.exits)),
    Check("exitnode", "an exit forwards, behind its firewall, and alone on this machine", exitchecks.exit_node),
    Check("leftovers", "nothing is refused or forwarded here for a node that is gone", exitchecks.leftovers),
    Check("files", "the node may have 1,024 files open", _files),
    Check("certificate", "the certificate is good and renewed in time, and so are others'", _certificate),
    Check("revoked", "this node is not revoked", _known(vitals.revoked)),
    Check("copies", "no key, number or mesh address was used twice in the last day", _copies),
    Check("clock", "the clock agrees with the neighbours' to 5 minutes", _clock),
    Check("udp", "some link goes over UDP", _udp),
    Check("peers", "relays and peers that a person named are reached", _known(vitals.missing)),
    Check("ca", "a CA is reached; to the next key of this one all nodes follow", _ca),
    Check("scribe", "the scribe is reached; a node started with `--scribe` is it", _scribe),
    Check("api", "keys to the API go nowhere in clear: it listens on loopback or on a mesh address", _api),
    Check("nat", "the NAT can be punched, or a port is mapped", _nat),
    Check("journal", "the journal of events is whole, and is written", _journal),
    Check("log", "no line of the log was lost", _log),
    Check("versions", "the installed release runs here, and the same elsewhere", _versions),
)
"""Everything that is looked at, in the order in which it is shown."""
