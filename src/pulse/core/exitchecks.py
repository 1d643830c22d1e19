"""Checks of `pulse doctor`: whether others get out through this machine, and what a node that is gone left."""

from pulse.core import vitals
from pulse.core.findings import Finding, Gravity, Said, Unseen, told
from pulse.core.symptoms import Symptoms


def exit_node(name: str, symptoms: Symptoms) -> Said:
    """Whether others get out through this node, if they are to."""
    machine, running = symptoms.machine, symptoms.running
    if running is None:
        return
    yield from vitals.exit_node(name, running)
    if running.exit_problem or not running.exit_versions:
        return
    off = [version for version in running.exit_versions if not machine.forwarding.get(version, True)]
    if off:
        what = f"this machine does not forward IPv{' and IPv'.join(map(str, off))}, so nobody gets out through it"
        fix = "the node turns it on again as soon as it can: see who turns it off, and pulse logs"
        yield Finding(name, Gravity.BROKEN, what, fix)
    elif machine.exit_table is None:
        yield Unseen("the firewall of the exit could not be looked for (this takes root)")
    elif not machine.exit_table:
        what = "the firewall of the exit is gone (table inet pulse)"
        fix = "the node puts it there again as soon as it can: see who takes it away, nft monitor, and pulse logs"
        yield Finding(name, Gravity.BROKEN, what, fix)


def leftovers(name: str, symptoms: Symptoms) -> Said:
    """Whether anything stands here for a node that is gone."""
    machine, running = symptoms.machine, symptoms.running
    if running:
        yield from vitals.left(name, running)
    if machine.refusing:
        what = "packets beyond the mesh are refused: a node that is gone keeps them in (a kill switch)"
        fix = "pulse start --tun: they go through the mesh again; or pulse stop: they go as without pulse"
        yield Finding(name, Gravity.BROKEN, what, fix)
    elif machine.left and not machine.undo_problem:
        what = f"a node that is gone left this set: {', '.join(machine.left)}"
        yield Finding(name, Gravity.WARNING, what, "pulse stop puts it back; so does pulse start")
    elif machine.exit_table and not machine.exit_holder and not (running and running.exit_versions):
        what = "an exit that is gone left its firewall here (table inet pulse), and maybe forwarding turned on"
        fix = "put it back: pulse stop --data-dir DIR, or start that exit again; see nft list table inet pulse"
        yield Finding(name, Gravity.WARNING, what, fix)
    if machine.undo_problem and not (running and running.left):
        yield told(name, Gravity.WARNING, machine.undo_problem)
