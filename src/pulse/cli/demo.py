"""`pulse demo`: a mesh shown at work on this machine, in less than a minute.

Invariant: with --json the last line is one object, whatever came before it.
"""

import signal
import sys
from typing import TYPE_CHECKING

import msgspec
from cyclopts import App

from pulse.errors import PulseError

if TYPE_CHECKING:
    from pulse.lab.demo.stage import Outcome
    from pulse.lab.lab import Lab

app = App(
    name="demo",
    help="Show on this machine what pulse does.\n\nHosts, a CA, a join, traffic, refusals, on real interfaces.",
)


@app.default
def demo(*, json: bool = False, keep: bool = False) -> None:
    """Build a mesh of three on four hosts, show it at work, and take it away.

    Parameters
    ----------
    json
        Print one JSON object as the last line, in place of the table.
    keep
        Leave it up, and say how to enter it.
    """
    from pulse.lab import rootless
    from pulse.lab.demo import stage, story

    if keep:
        rootless.require_root("a demo that stays up")
    rootless.enter_user_namespace(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        outcome = story.run(Lines(), keep=keep, kept=_how_to_enter)
    except PulseError:
        if json:
            print(msgspec.json.encode(stage.Outcome()).decode())
        raise
    print(msgspec.json.encode(outcome).decode() if json else _table(outcome, keep=keep))
    if not outcome.ok:
        raise SystemExit(1)


class Lines:
    """The story on standard output: on a terminal a line appears while its step runs and is written anew when done."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()

    def begins(self, number: int, title: str) -> None:
        """Show what is being done."""
        if self._terminal:
            print(f"{number:>2}   {title} …", end="", flush=True)

    def ends(self, number: int, title: str, figure: str, command: str) -> None:
        """Show what came of it and the command that showed it."""
        again = "\r\x1b[K" if self._terminal else ""
        print(f"{again}{number:>2} ✓ {title}: {figure}\n       {command}", flush=True)


def _how_to_enter(lab: "Lab") -> None:
    print("\nIt is still up. On a host, pulse knows its node:")
    for name in lab.hosts:
        print(f"  pulse lab enter {name} --lab {lab.name}")
    print(f"Take it away: pulse lab clean {lab.name}")


def _table(outcome: "Outcome", *, keep: bool) -> str:
    share = outcome.mesh_gbit / outcome.raw_gbit if outcome.raw_gbit else 0.0
    rows = [
        ("bare cable", f"{outcome.raw_gbit:.1f} Gbit/s"),
        ("over the mesh", f"{outcome.mesh_gbit:.1f} Gbit/s, {share:.0%} of it, encrypted, SHA-256 equal"),
        ("ping", f"{outcome.ping_ms:.2f} ms"),
        ("join to link", f"{outcome.join_s:.1f} s"),
        ("over a relay", f"{outcome.relay_ping_ms:.2f} ms; the relay saw and held nothing in clear"),
        ("mid-transfer", "from relay to direct; relay killed; one connection, SHA-256 equal"),
        ("refused", "a wrong token, a used token, a stranger"),
        ("left behind", "it all, as you asked" if keep else "nothing" if outcome.clean else "something"),
        ("all in all", f"{outcome.seconds:.0f} s"),
    ]
    lines = "\n".join(f"  {name:<14} {value}" for name, value in rows)
    closing = "Everything above ran on real interfaces"
    return f"\n{lines}\n\n{closing}{'.' if keep else '; pulse demo --keep leaves it up.'}"
