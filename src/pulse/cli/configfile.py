"""`pulse config …`: the whole network config as one file, to keep under version control and to apply from there.

Invariant: nothing is applied but what was planned, on the very config it was planned on.
"""

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from pulse.calls.config import ConfigCalls
from pulse.cli import changes, ssh
from pulse.cli.asking import DECLINED, agreed
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.config import NodeConfig
from pulse.errors import ConfigError, PulseError
from pulse.schemas.config import ConfigChange, ConfigFile, ConfigPlan, ConfigWanted
from pulse.wording import counted

CHANGES: Final = 2
"""Exit code of a plan with something to do, as others have it (terraform plan -detailed-exitcode)."""

File = Annotated[str, Parameter(allow_leading_hyphen=True)]
Ahead = Annotated[bool, Parameter(help="Take names and tags that nobody has yet: those of machines still to join.")]
Force = Annotated[
    bool, Parameter(help="Even if it closes the connection this is typed through, or leaves no rules or no tests.")
]
Yes = Annotated[bool, Parameter(help="Apply it without being asked again.")]
Output = Annotated[
    Path | None, Parameter(name=("--output", "-o"), help="The file to write, instead of standard output.")
]

app = App(
    name="config",
    help=(
        "Keep the whole network config in one file, plan with it and apply it.\n\n"
        "Plan and apply on the scribe, the CA or an operator, the rest anywhere. Its check judges the "
        "settings of this node.\n\nMore: pulse help settings"
    ),
)


@app.command
def export(*, output: Output = None, json: Json = False, data_dir: DataDir = None) -> None:
    """Write the whole network config as one TOML file."""
    from pulse.cli import configtext

    with connect(data_dir) as client:
        found = ConfigCalls(client).config_file()
    if json:
        print_json(found)
        return
    text = configtext.written(found)
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror}") from error


@app.command
def plan(
    file: File, /, *, ahead: Ahead = False, force: Force = False, json: Json = False, data_dir: DataDir = None
) -> int:
    """Say what applying a file would change. The exit code is 0 if nothing would, 2 if something would.

    Parameters
    ----------
    file
        TOML, as `pulse config export` writes it; - for standard input.
    """
    from pulse.cli import configtext

    try:
        text = configtext.read(file)
        with connect(data_dir) as client, text.places():
            found = ConfigCalls(client).plan_config(_wanted(text.config, ahead=ahead, force=force))
    except ConfigError as error:
        # Its own exit code would read as a plan with something to do.
        raise PulseError(str(error)) from error
    if json:
        print_json(found)
    else:
        print("\n".join(_lines(found)))
    return CHANGES if found.changes else 0


@app.command(name="apply")
def apply_file(
    file: File,
    /,
    *,
    yes: Yes = False,
    ahead: Ahead = False,
    force: Force = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Make the network config what a file says, all of it or nothing; shows the plan and asks first.

    Parameters
    ----------
    file
        TOML, as `pulse config export` writes it; - for standard input.
    """
    from pulse.cli import configtext

    text = configtext.read(file)
    wanted = _wanted(text.config, ahead=ahead, force=force)
    with connect(data_dir) as client, text.places():
        found = ConfigCalls(client).plan_config(wanted)
        if not json or not yes:
            print("\n".join(_lines(found)), flush=True, file=sys.stderr if json else sys.stdout)
        if found.changes:
            if not yes and not agreed("Apply this?", f"pulse config apply {file} --yes"):
                return DECLINED
            found = ConfigCalls(client).apply_config(wanted, found.version)
    if json:
        print_json(found)
    elif found.applied:
        print(f"network config {found.version}")
    return 0


@app.command
def check(file: Path | None = None, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Say whether the settings of this node are understood: those of a file, with the PULSE_… variables over them.

    A mistake is told with its file, line and key, and the nearest name.

    Parameters
    ----------
    file
        TOML; the usual one (config.toml in the data directory) if left out.
    """
    from pulse import settings

    flags: dict[str, object] = {} if data_dir is None else {"data-dir": str(data_dir)}
    layers = settings.layers(flags, (), file)
    said = settings.changed(NodeConfig(), layers.merged())
    if json:
        print_json({"file": layers.file, "settings": said})
    else:
        there = "" if Path(layers.file).exists() else " (not there)"
        print(f"{layers.file}{there}: {counted(len(said), 'setting')} of its own, all understood")


def _wanted(config: ConfigFile, *, ahead: bool, force: bool) -> ConfigWanted:
    return ConfigWanted(config, ahead, force, ssh.connection())


def _lines(plan: ConfigPlan) -> list[str]:
    """What people read."""
    if not plan.changes:
        return [f"nothing to do: the file says what network config {plan.version} does"]
    told: list[str] = []
    for section, found in groupby(plan.changes, lambda each: each.section):
        told += [section, *_items(found)]
    return [*told, "", *changes.reach(plan), f"{counted(len(plan.changes), 'change')} to network config {plan.version}"]


def _items(found: Iterable[ConfigChange]) -> list[str]:
    told: list[str] = []
    for each in found:
        told.append(f"  {each.change:<7}  {each.line}")
        if each.was:
            told.append(f"  {'was':>7}  {each.was}")
    return told
