"""`pulse lab`: many hosts on this machine, to try pulse and anything else on.

Invariant: parse, one call to pulse.lab, print; what is built and removed is decided there.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from pulse.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from pulse.lab.plan import Plan

app = App(name="lab", help="Hosts, cables, switches, routers and NATs on this machine, to try a mesh on.")


@app.command
def up(description: str | None = None, /) -> None:
    """Build a lab and leave it up.

    Parameters
    ----------
    description
        A TOML file with [hosts.NAME] tables and [[networks]] that join them, or one of ours by name: nat, cgnat, relay,
        two-relays, chain; two joined hosts, a and b, if left out.
    """
    from pulse.lab import rootless
    from pulse.lab.lab import Lab

    plan = _plan(description)
    rootless.require_root("a lab that stays up")
    with Lab(plan) as lab:
        lab.keep()
        for host in lab.hosts.values():
            ports = "  ".join(f"{port.interface} {port.v4} {port.v6}" for port in host.ports)
            print(f"{host.name:<12}  {ports or 'not connected'}")
        print(f"\nEnter a host: pulse lab enter {lab.name} {next(iter(lab.hosts))}")
        print(f"Take it down: pulse lab clean {lab.name}")


@app.command
def run(
    host: str,
    command: Annotated[list[str], Parameter(allow_leading_hyphen=True)],
    /,
    *,
    plan: str | None = None,
) -> None:
    """Build a lab, run one command in it, and take it down; the exit code is the command's.

    Parameters
    ----------
    host
        The host to run it on.
    command
        The command and its arguments; write -- before the host if some of them start with a hyphen.
    plan
        A description as for `pulse lab up`: a TOML file, or one of ours by name.
    """
    from pulse.lab import rootless
    from pulse.lab.lab import Lab

    described = _plan(plan)
    if host not in described.hosts:
        raise NotFound(f"there is no host {host} in this lab (there are: {', '.join(described.hosts)})")
    rootless.enter_user_namespace(sys.argv[1:])
    with Lab(described) as lab:
        code = lab[host].call(command)
    raise SystemExit(code)


@app.command
def enter(
    lab: str, host: str, command: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True)] = None
) -> None:
    """Open a shell on a host of a lab that is up, or run one command there.

    Parameters
    ----------
    lab
        The lab's name, as `pulse lab up` printed it.
    host
        The host's name.
    command
        What to run in place of a shell.
    """
    from pulse.lab.host import entering, environment_of
    from pulse.lab.lab import find

    state = find(lab)
    namespace = state.record.hosts.get(host)
    if namespace is None:
        raise NotFound(f"lab {lab} has no host {host} (it has: {', '.join(state.record.hosts)})")
    directory = state.directory / host
    inside = entering(namespace, host, directory, command or shlex.split(os.environ.get("SHELL", "/bin/sh")))
    os.execvpe(inside[0], inside, environment_of(directory))


@app.command
def clean(lab: str | None = None, /) -> None:
    """Take down a lab, or all that no running program keeps, also after a crash.

    Parameters
    ----------
    lab
        The lab's name; all that can be taken down if left out.
    """
    from pulse.lab.lab import clean as take_down

    removed = take_down(lab)
    print("\n".join(f"removed {name}" for name in removed) or "no labs to remove")


def _plan(description: str | None) -> "Plan":
    from pulse.lab.plan import TWO_HOSTS, read_plan
    from pulse.lab.topologies import SHIPPED

    if description is None:
        return TWO_HOSTS
    if description in SHIPPED:
        return SHIPPED[description]
    try:
        return read_plan(Path(description).read_text(encoding="utf-8"))
    except OSError as error:
        ours = ", ".join(SHIPPED)
        raise ConfigError(f"cannot read {description}: {error.strerror} (labs known by name: {ours})") from error
