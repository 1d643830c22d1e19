"""`pulse setup dns`: have the programs of this machine ask the node for names under .pulse.

Invariant: parse, one call, print; what changes files of the machine is in `pulse.dropin`, what its node sets it undoes.
"""

from types import ModuleType
from typing import Annotated

from cyclopts import App, Parameter

from pulse.calls.resolver import ResolverCalls
from pulse.cli.output import print_json, tick
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.errors import Conflict
from pulse.schemas.resolver import ResolverInfo

app = App(name="setup", help=("Have this machine ask its node for names under .pulse.\n\nMore: pulse help names"))

Undo = Annotated[bool, Parameter(help="Leave it as it was before.")]
Global = Annotated[
    bool,
    Parameter(name="--global", help="For the whole machine, by a file that systemd-resolved reads and that stays."),
]


@app.command
def dns(*, undo: Undo = False, whole: Global = False, json: Json = False, data_dir: DataDir = None) -> None:
    """Have this machine ask the node for names under .pulse, and nobody else; all other names go where they went.

    systemd-resolved is told, or openresolv, on pulse's own interface: nothing stays when the node stops, and it is
    told again when it starts. /etc/resolv.conf is not touched.
    """
    if whole:
        _whole(undo=undo, json=json, data_dir=data_dir)
        return
    with connect(data_dir) as client:
        calls = ResolverCalls(client)
        found = calls.take_back() if undo else calls.set_up()
    if json:
        print_json(found)
    elif undo:
        tick("names under .pulse are asked of this node no more")
    else:
        _show(found)


def _whole(*, undo: bool, json: bool, data_dir: DataDir) -> None:
    if undo:
        _dropin().remove()
        tick("names under .pulse are not set up for the whole machine any more")
        return
    _dropin().check_root("pulse setup dns --global")
    with connect(data_dir) as client:
        found = ResolverCalls(client).state()
    if not found.server:
        raise Conflict(
            "this node answers no DNS.\n"
            "Have it do so: enabled = true under [dns] in its config.toml, then pulse restart"
        )
    changed = _dropin().install(found.server)
    if json:
        print_json(found)
        return
    tick(f"names under .pulse are asked of {found.server}, on the whole machine" + ("" if changed else ", as before"))
    print("Take it back: sudo pulse setup dns --undo --global")


def _show(found: ResolverInfo) -> None:
    tick(f"{found.resolver} asks this node ({found.server}) for names under .pulse, on {found.device} alone")
    print(f"note: {found.problem}" if found.problem else "Try it: getent hosts <name>.pulse")
    print("Told again at every start. Take it back: pulse setup dns --undo")


def _dropin() -> ModuleType:
    from pulse import dropin

    return dropin
