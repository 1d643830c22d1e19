"""Two checks of `pulse doctor`: what is wrong with the ways out of the mesh, and what a node that is gone left."""

from pulse.core.findings import Finding, Gravity, Said
from pulse.core.symptoms import Symptoms


def exits(name: str, symptoms: Symptoms) -> Said:
    """Whether this machine's packets go through exits as they should."""
    running = symptoms.running
    if running is None:
        return
    if running.exits_problem:
        what, _, fix = running.exits_problem.partition("\n")
        fix = fix or "see the node's log: pulse logs"
        yield Finding(name, Gravity.BROKEN, f"packets do not go through exits: {what}", fix)
    for each in running.ranges_refused:
        what = f"{each} is closed: it is approved, and no exit leads there now"
        yield Finding(name, Gravity.BROKEN, what, "see which offer it, and why they fail: pulse route list")
    for each in running.bypasses:
        what = f"packets for {each.partition(' ')[0]} go past the exit in use, by a route of this machine"
        fix = f"unless you want that: ip route del {each}; if you do: ip route change {each} proto static"
        yield Finding(name, Gravity.WARNING, what, fix)


def leftovers(name: str, symptoms: Symptoms) -> Said:
    """Whether anything stands here for a node that is gone."""
    machine, running = symptoms.machine, symptoms.running
    if running and running.left:
        what, _, fix = running.left.partition("\n")
        yield Finding(
            name, Gravity.WARNING, f"an earlier run may have left something here: {what}", fix or "pulse logs"
        )
    if machine.refusing:
        what = "packets beyond the mesh are refused: a node that is gone keeps them in (a kill switch)"
        fix = "pulse start: they go through the mesh again; or pulse stop: they go as without pulse"
        yield Finding(name, Gravity.BROKEN, what, fix)
    elif machine.left:
        what = f"a node that is gone left this set: {', '.join(machine.left)}"
        yield Finding(name, Gravity.WARNING, what, "pulse stop puts it back; so does pulse start")
