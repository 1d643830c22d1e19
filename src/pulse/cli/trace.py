"""`pulse trace`: the way frames take to a node, hop by hop.

Invariant: parse, one call, print; a way that could not be followed to its end is shown as far as it is known, and is
an error to programs.
"""

from pulse.calls.trace import TraceCalls
from pulse.cli.output import print_json, print_table
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.core.types import SHORT_ID
from pulse.errors import ConfigError, LinkError
from pulse.schemas.paths import Trace, TraceHop
from pulse.wording import DASH, counted, milliseconds, percent

HEADER = ("HOP", "NODE", "ADDRESS", "LINK", "RTT", "TOTAL", "LOSS")
RIGHT = frozenset({"HOP", "RTT", "TOTAL", "LOSS"})
NAMES = frozenset({"NODE"})


def trace(node: str, /, *, timeout: float = 3.0, json: Json = False, data_dir: DataDir = None) -> int:
    """Show the way frames take to a node, hop by hop.

    Each hop is asked for its next one, the node itself for a sign of life.

    More: pulse help paths

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    timeout
        Seconds each of them has to answer, 10 at most (3).
    """
    if not 0 < timeout <= 10:
        raise ConfigError("pulse trace waits up to 10 seconds for each hop (--timeout 3)")
    with connect(data_dir) as client:
        found = TraceCalls(client).trace(node, timeout)
    if json:
        print_json(found)
    else:
        _draw(found)
    return LinkError.exit_code if found.problem else 0


def _draw(found: Trace) -> None:
    away = f"{found.name or found.id[:SHORT_ID]} ({found.v4}) "
    if found.hops and found.hops[-1].id == found.id:
        away += f"is {counted(len(found.hops), 'hop')} away and "
    print(away + ("does not answer." if found.rtt is None else f"answered in {milliseconds(found.rtt)}."))
    if found.hops:
        print()
        print_table(HEADER, [_row(number, hop) for number, hop in enumerate(found.hops, 1)], RIGHT, NAMES)
    if found.problem:
        print(f"\n{found.problem}")


def _row(number: int, hop: TraceHop) -> tuple[str, ...]:
    return (
        str(number),
        hop.name or hop.id[:SHORT_ID],
        hop.v4 or DASH,
        hop.link or DASH,
        milliseconds(hop.rtt),
        milliseconds(hop.total),
        percent(hop.loss),
    )
