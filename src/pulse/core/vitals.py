"""What is wrong with a node by what it knows of itself at no cost: for the first line of `pulse status` and the doctor.

Invariant: each problem is judged and worded once; what makes the status unwell the doctor finds, in the same words.
"""

from collections.abc import Callable, Iterator
from typing import Final

from pulse.core import addresses
from pulse.core.findings import Finding, Gravity, told
from pulse.core.paths.sight import CLOCK_TOLERANCE
from pulse.core.symptoms import Running
from pulse.core.trust.fleet import Outlook, outlook

DAY: Final = 86400.0
SET_TIME: Final = "set the time: timedatectl set-ntp true"

Judge = Callable[[str, Running], Iterator[Finding]]
"""Says what is wrong, under the name of the doctor's check."""


def findings(running: Running) -> list[Finding]:
    """All that is wrong, the most pressing first."""
    found = [finding for check, judge in JUDGES for finding in judge(check, running)]
    return sorted(found, key=lambda each: -each.gravity)


def revoked(check: str, running: Running) -> Iterator[Finding]:
    """Whether this very node is revoked."""
    if running.revoked:
        fix = "the machine comes back with a new --data-dir and an invite: pulse join pls_…"
        yield Finding(check, Gravity.BROKEN, "this node is revoked: nobody talks to it any more", fix)


def ended(check: str, running: Running) -> Iterator[Finding]:
    """Whether its certificate has ended."""
    if running.certificate_left <= 0:
        fix = "keep the node running and a node of the mesh in reach: for 30 days it is renewed; later, join again"
        yield Finding(check, Gravity.BROKEN, "this node's certificate has ended, so nobody talks to it", fix)


def device(check: str, running: Running) -> Iterator[Finding]:
    """Whether its TUN device, if it is to have one, has the mesh addresses."""
    if running.tun_problem:
        yield told(check, Gravity.BROKEN, running.tun_problem, meaning="no mesh addresses: ")


def missing(check: str, running: Running) -> Iterator[Finding]:
    """Whether those are reached whom a person named."""
    if running.cut_off:
        what = "this machine has no network: no interface is up with its cable in"
        yield Finding(check, Gravity.BROKEN, what, "see them: ip link; then plug it in, or: ip link set eth0 up")
        return
    for each in running.missing:
        who = f"{each.name} at {each.address}" if each.name else each.address
        why = f": {each.error}" if each.error else ""
        fix = f"is it up, and its UDP and TCP port open? nc -vz {' '.join(map(str, addresses.split(each.address)))}"
        yield Finding(check, Gravity.BROKEN, f"{who} is not reached{why}", fix)


def scribe(check: str, running: Running) -> Iterator[Finding]:
    """Whether it is the scribe, if it was started to be."""
    if running.scribe_problem:
        meaning = "this node is not the scribe it was started to be: "
        yield told(check, Gravity.BROKEN, running.scribe_problem, meaning=meaning, otherwise="pulse ca roles")


def rotation(check: str, running: Running) -> Iterator[Finding]:
    """Whether all nodes that are reached follow to the CA's next key, on the CA."""
    if running.rotation_problem:
        yield told(check, Gravity.WARNING, running.rotation_problem)


def names(check: str, running: Running) -> Iterator[Finding]:
    """Whether this machine asks it for names, if a person wants that."""
    if running.resolver_problem:
        meaning = "this machine does not ask for names under .pulse: "
        undo = "to do without: pulse setup dns --undo"
        yield told(check, Gravity.BROKEN, running.resolver_problem, meaning=meaning, otherwise=undo)


def exits(check: str, running: Running) -> Iterator[Finding]:
    """Whether this machine's packets go through exits as they should."""
    if running.exits_problem:
        yield told(check, Gravity.BROKEN, running.exits_problem)
    if closed := running.ranges_refused:
        what = f"{', '.join(closed)} {'is' if len(closed) == 1 else 'are'} closed: no exit leads there now"
        yield Finding(check, Gravity.BROKEN, what, "see which nodes offer that, and why they fail: pulse route list")
    for each in running.bypasses:
        what = f"packets for {each.partition(' ')[0]} go past the exit in use, by a route of this machine"
        fix = f"unless you want that: ip route del {each}; if you do: ip route change {each} proto static"
        yield Finding(check, Gravity.WARNING, what, fix)


def exit_node(check: str, running: Running) -> Iterator[Finding]:
    """Whether others get out through it, if they are to."""
    if running.exit_problem:
        yield told(check, Gravity.BROKEN, running.exit_problem)


def left(check: str, running: Running) -> Iterator[Finding]:
    """Whether anybody can tell what an earlier run left."""
    if running.left:
        yield told(check, Gravity.WARNING, running.left, meaning="an earlier run may have left something here: ")


def clock(check: str, running: Running) -> Iterator[Finding]:
    """Whether its clock agrees with the neighbours'."""
    if abs(running.clock_offset) > CLOCK_TOLERANCE:
        ahead = "ahead of" if running.clock_offset > 0 else "behind"
        what = f"this clock is {abs(running.clock_offset) / 60:.0f} min {ahead} the neighbours'"
        yield Finding(check, Gravity.WARNING, what, SET_TIME)


def late(check: str, running: Running) -> Iterator[Finding]:
    """Whether certificates should have been renewed: its own, and those of others it can see to."""
    if outlook(running.certificate_left, running.certificate_life) is Outlook.LATE:
        what = f"this node's certificate ends in {_days(running.certificate_left)} and should have been renewed"
        yield Finding(check, Gravity.WARNING, what, "the CA has to be up and reached: pulse cert")
    for name, remaining in running.late:
        yield Finding(check, Gravity.WARNING, f"certificate of {name} ends in {_days(remaining)}", f"pulse why {name}")


JUDGES: Final[tuple[tuple[str, Judge], ...]] = (
    ("revoked", revoked),
    ("certificate", ended),
    ("tun", device),
    ("peers", missing),
    ("scribe", scribe),
    ("names", names),
    ("exits", exits),
    ("exitnode", exit_node),
    ("leftovers", left),
    ("clock", clock),
    ("ca", rotation),
    ("certificate", late),
)
"""By the doctor's check that asks each; of what is as grave as each other the first is the most pressing."""


def _days(seconds: float) -> str:
    days = round(seconds / DAY)
    return "less than a day" if days < 1 else "1 day" if days == 1 else f"{days} days"
