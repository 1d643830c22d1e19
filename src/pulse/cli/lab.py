"""`pulse lab`: many hosts on this machine, to try pulse and anything else on.

Invariant: parse, one call to pulse.lab, print; what is built and removed is decided there.
"""

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from pulse.cli.output import print_json, print_table, tick
from pulse.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from pulse.lab.lab import Lab
    from pulse.lab.play import Report
    from pulse.lab.scenario import Scenario
    from pulse.lab.state import StateFile

app = App(
    name="lab",
    help=(
        "Build hosts and cables on this machine, to try a mesh on.\n\n"
        "Each host, switch, router and NAT is a network namespace of its own."
    ),
)

Command = Annotated[list[str] | None, Parameter(allow_leading_hyphen=True)]


@app.command(name="list")
def list_(*, json: bool = False) -> None:
    """List the scenarios that come with pulse, and the labs that are up.

    Parameters
    ----------
    json
        Print JSON, for programs.
    """
    from pulse.lab import scenario
    from pulse.lab.state import all_names

    scenarios = {name: each.about for name, each in scenario.shipped().items()}
    up = all_names()
    if json:
        print_json({"scenarios": scenarios, "up": up})
        return
    print_table(("SCENARIO", "WHAT IT IS"), list(scenarios.items()))
    print(f"\nUp now: {', '.join(up) or 'none'}. Play one: pulse lab run {next(iter(scenarios))}")


@app.command
def show(scenario: str, /, *, json: bool = False) -> None:
    """Show what is in a scenario, without building it; what is wrong in a file is told with its line.

    Parameters
    ----------
    scenario
        A TOML file, or one of ours by name (pulse lab list).
    json
        Print JSON, for programs.
    """
    from pulse.lab.plan import segments
    from pulse.lab.scenario import seconds

    found = _find(scenario)
    if json:
        print_json(found)
        return
    print(found.about or scenario)
    rows = [
        (network.name or str(segment.number), port.host, port.interface, str(port.v4), _kind(found, port.host))
        for network, segment in zip(found.networks, segments(found), strict=True)
        for port in segment.ports
    ]
    print_table(("NETWORK", "HOST", "PORT", "ADDRESS", "WHAT IT IS"), rows)
    times = [(each.at, str(each)) for each in found.fault]
    times += [
        (each.after, f"{each.source} reaches {each.to} {each.words}, within {each.within}") for each in found.expect
    ]
    if times:
        print()
        print_table(("AT", "WHAT"), sorted(times, key=lambda each: seconds(each[0])))


@app.command
def up(scenario: str | None = None, /, *, json: bool = False) -> None:
    """Build a lab, start its nodes, and leave it up; faults and expectations are left out.

    Parameters
    ----------
    scenario
        A TOML file, or one of ours by name (pulse lab list); two joined hosts, a and b, if left out.
    json
        Print JSON, for programs.
    """
    from pulse.lab import rootless
    from pulse.lab.lab import Lab
    from pulse.lab.play import Play

    found = _find(scenario)
    rootless.require_root("a lab that stays up")
    with Lab(found) as lab:
        Play(lab, found, _quiet if json else tick).begin()
        lab.keep()
        _tell_up(lab, json=json)


@app.command
def run(scenario: str, /, *, json: bool = False, keep: bool = False) -> None:
    """Play a scenario: nodes come up, faults befall them on the clock, expectations are judged; then all goes away.

    The exit code is 0 if all was as expected, and 1 if not.

    Parameters
    ----------
    scenario
        A TOML file, or one of ours by name (pulse lab list).
    json
        Print one JSON object as the last line, in place of the table.
    keep
        Leave the lab up afterwards (needs root).
    """
    from pulse.lab import rootless
    from pulse.lab.lab import Lab
    from pulse.lab.play import Play

    found = _find(scenario)
    if keep:
        rootless.require_root("a lab that stays up")
    _enter_namespace()
    with Lab(found) as lab:
        play = Play(lab, found, _quiet if json else tick)
        play.begin()
        report = play.run(scenario)
        if keep:
            lab.keep()
        if json:
            print_json(report)
        else:
            _tell(report)
            if keep:
                _tell_up(lab, json=False)
    if not report.ok:
        raise SystemExit(1)


@app.command(name="exec")
def exec_(scenario: str, host: str, command: Annotated[list[str], Parameter(allow_leading_hyphen=True)], /) -> None:
    """Build a lab, start its nodes, run one command on a host, and take all down; the exit code is the command's.

    Parameters
    ----------
    scenario
        A TOML file, or one of ours by name (pulse lab list).
    host
        The host to run it on.
    command
        The command and its arguments, after -- if some of them start with a hyphen.
    """
    from pulse.lab.lab import Lab
    from pulse.lab.play import Play

    found = _find(scenario)
    if host not in found.hosts:
        raise NotFound(f"there is no host {host} in this lab (there are: {', '.join(found.hosts)})")
    _enter_namespace()
    with Lab(found) as lab:
        Play(lab, found).begin()
        code = lab[host].call(command)
    raise SystemExit(code)


@app.command
def enter(host: str, command: Command = None, /, *, lab: str | None = None) -> None:
    """Open a shell on a host of a lab that is up, or run one command there.

    Parameters
    ----------
    host
        The host's name.
    command
        What to run in place of a shell, after -- if some of it starts with a hyphen.
    lab
        The lab's name, if several are up (pulse lab list).
    """
    from pulse.lab.lab import find

    _become(find(lab), host, command or shlex.split(os.environ.get("SHELL", "/bin/sh")))


@app.command
def capture(
    where: str,
    filter: Command = None,
    /,
    *,
    write: Annotated[str | None, Parameter(alias="-w")] = None,
    count: int | None = None,
    lab: str | None = None,
) -> None:
    """Show or save what passes a host, or one cable of it, of a lab that is up; it ends with Ctrl-C. Needs tcpdump.

    Parameters
    ----------
    where
        A host (all its interfaces), or a cable as two hosts: a:b is the interface of a on the network it has with b.
    filter
        What tcpdump takes for one, such as udp port 8443.
    write
        A file for the packets, as wireshark reads them; - is standard output.
    count
        End after so many packets.
    lab
        The lab's name, if several are up (pulse lab list).
    """
    from pulse.lab.lab import find, interface_of

    state = find(lab)
    host, _, other = where.partition(":")
    interface = interface_of(state, host, other) if other else "any"
    command = ["tcpdump", "-n", "-U", "-i", interface, "-Z", "root"]
    if write:
        command += ["-w", "-" if write == "-" else os.path.abspath(write)]
    if count:
        command += ["-c", str(count)]
    _become(state, host, [*command, *(filter or [])], needs="tcpdump")


@app.command
def matrix(*, rounds: int = 1, json: bool = False) -> None:
    """Measure for each pair of NAT classes whether two nodes behind them meet directly, and how soon.

    Parameters
    ----------
    rounds
        How often each pair is tried; the figure is the median (1).
    json
        Print one JSON object, for programs.
    """
    from pulse.lab.matrix import measure

    if rounds < 1:
        raise ConfigError(f"--rounds {rounds}: try each pair once at least")
    _enter_namespace()
    found = measure(rounds, _quiet if json else lambda pair: tick(f"{pair.one} and {pair.other}: {pair.link}"))
    if json:
        print_json(found)
        return
    print()
    rows = [
        (each.one, each.other, each.link, "-" if each.direct_s is None else f"{each.direct_s:.3f} s")
        for each in found.pairs
    ]
    print_table(("ONE", "OTHER", "ENDS WITH", "DIRECT AFTER"), rows)


@app.command
def failover(*, kills: int = 5, json: bool = False) -> None:
    """Measure how long a flow is silent when the relay it goes over is killed and another one is there.

    Parameters
    ----------
    kills
        How often the relay in use is killed; the figure is the median (5).
    json
        Print one JSON object, for programs.
    """
    from pulse.lab.failover import measure

    if kills < 1:
        raise ConfigError(f"--kills {kills}: without a kill there is no figure")
    _enter_namespace()
    found = measure(kills, _quiet if json else lambda victim, silence: tick(f"killed {victim}: {silence:.3f} s"))
    if json:
        print_json(found)
    else:
        print(f"\nsilent for {found.median_s:.3f} s in the median, {found.worst_s:.3f} s at worst, of {kills} kills")


@app.command
def clean(lab: str | None = None, /, *, json: bool = False) -> None:
    """Take down a lab, or all that no running program keeps, also after a crash.

    Parameters
    ----------
    lab
        The lab's name; all that can be taken down if left out.
    json
        Print JSON, for programs.
    """
    from pulse.lab.lab import clean as take_down

    removed = take_down(lab)
    if json:
        print_json({"removed": removed})
    else:
        print("\n".join(f"removed {name}" for name in removed) or "no labs to remove")


def _find(name: str | None) -> "Scenario":
    from pulse.lab import scenario
    from pulse.lab.plan import TWO_HOSTS

    if name is None:
        return scenario.Scenario(TWO_HOSTS.hosts, TWO_HOSTS.networks)
    return scenario.find(name)


def _enter_namespace() -> None:
    from pulse.lab import rootless

    rootless.enter_user_namespace(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _become(state: "StateFile", host: str, command: Sequence[str], needs: str = "") -> None:
    """Go on as a command on a host of a lab."""
    import shutil

    from pulse.errors import SystemRefused
    from pulse.lab.host import entering, environment_of

    namespace = state.record.hosts.get(host)
    if namespace is None:
        known = ", ".join(name for name in state.record.hosts if not name.startswith("("))
        raise NotFound(f"lab {state.record.name} has no host {host} (it has: {known})")
    directory = state.directory / host
    environment = environment_of(directory)
    if needs and not shutil.which(needs, path=environment["PATH"]):
        raise SystemRefused(f"this needs the command {needs}.\nInstall it: apt-get install {needs}")
    inside = entering(namespace, host, directory, command)
    sys.stdout.flush()
    os.execvpe(inside[0], inside, environment)


def _quiet(*_: object) -> None:
    """With --json nothing is told on the way."""


def _tell_up(lab: "Lab", *, json: bool) -> None:
    ports = {
        host.name: [(port.interface, str(port.v4), str(port.v6)) for port in host.ports] for host in lab.hosts.values()
    }
    if json:
        print_json({"lab": lab.name, "hosts": ports})
        return
    print()
    print_table(
        ("HOST", "PORTS"), [(name, "  ".join(f"{i} {v4}" for i, v4, _ in found)) for name, found in ports.items()]
    )
    print(f"\nEnter a host: pulse lab enter {next(iter(lab.hosts))} --lab {lab.name}")
    print(f"Take it down: pulse lab clean {lab.name}")


def _tell(report: "Report") -> None:
    rows = [
        (
            "ok" if each.ok else "FAILED",
            f"{each.source} to {each.to}",
            each.expected,
            f"{each.after:g} s",
            f"{each.took:g} s" if each.took is not None else f"not in {each.within:g} s",
            each.seen,
        )
        for each in report.expectations
    ]
    print()
    if rows:
        print_table(("", "WHO", "EXPECTED", "FROM", "AFTER", "SEEN"), rows)
    failed = sum(not each.ok for each in report.expectations)
    said = f"{failed} of {len(rows)} not as expected" if failed else f"all {len(rows)} as expected"
    print(f"\n{report.scenario}: {said}, in {report.seconds:g} s.")


def _kind(scenario: "Scenario", name: str) -> str:
    host = scenario.hosts[name]
    parts = [
        f"{host.nat} NAT" if host.nat else "router" if host.router else "",
        "pulse, CA and scribe" if host.pulse and host.pulse.ca else "pulse" if host.pulse else "",
        f"no {host.firewall}" if host.firewall else "",
        f"at {host.at}" if host.at else "",
    ]
    return ", ".join(filter(None, parts)) or "no member"
