"""`pulse why`: why a node is reached as it is, told from both ends.

Invariant: parse, one call, print; a verdict is an answer, so the exit code is 0 whatever it says.
"""

from typing import Final

from pulse.calls.why import WhyCalls
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.errors import ConfigError
from pulse.schemas.paths import Why, WhyEnd, WhyPlace
from pulse.wording import counted, spelled_span

SHOWN: Final = 4
"""Places shown of each end, those with most probes."""


def why(node: str, other: str = "", /, *, timeout: float = 5.0, json: Json = False, data_dir: DataDir = None) -> None:
    """Say why a node is reached as it is, from both ends.

    Directly or over a relay, by QUIC or by WebSocket: what was tried, and what would help.

    More: pulse help paths

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    other
        Another node: then the path from the first to this one is told, as if asked there.
    timeout
        Seconds each end has to answer, 10 at most (5).
    """
    if not 0 < timeout <= 10:
        raise ConfigError("pulse why waits up to 10 seconds for each end (--timeout 5)")
    source, target = (node, other) if other else ("", node)
    with connect(data_dir) as client:
        found = WhyCalls(client).why(target, source, timeout)
    if json:
        print_json(found)
    else:
        print("\n".join(_lines(found)))


def _lines(found: Why) -> list[str]:
    rows = [
        row for end, other in ((found.source, found.node), (found.node, found.source)) for row in _tried(end, other)
    ]
    nats = [f"{end.name} {_nat(end)}" for end in (found.source, found.node) if end.asked]
    rows.append(("NAT", " · ".join(nats)))
    if planned := [end.next_try for end in (found.source, found.node) if end.next_try is not None]:
        rows.append(("next try", f"in {spelled_span(min(planned))}; at once if an address changes"))
    if found.help:
        rows.append(("what would help", found.help))
    wide = max(len(label) for label, _ in rows)
    return [found.sentence, "", *(f"{label.ljust(wide)}  {text}".rstrip() for label, text in rows)]


def _tried(end: WhyEnd, other: WhyEnd) -> list[tuple[str, str]]:
    """What was tried from one end, a line a place."""
    label = f"from {end.name}"
    if not end.asked:
        return [(label, f"no account: {end.problem}")]
    places = sorted(end.places, key=lambda each: -(each.sent + each.answered + each.heard))[:SHOWN]
    if not places:
        return [(label, f"no address of {other.name} was tried" if end.via else "")] if end.via else []
    return [(label if number == 0 else "", _place(each)) for number, each in enumerate(places)]


def _place(place: WhyPlace) -> str:
    if not (place.sent or place.heard or place.answered):
        return f"{place.address}: {place.error or 'not tried'}"
    heard = f", {counted(place.heard, 'probe')} of its own" if place.heard else ""
    return f"{counted(place.sent, 'probe')} to {place.address}, {counted(place.answered, 'answer')}{heard}"


def _nat(end: WhyEnd) -> str:
    agree = {0: "nobody saw it", 1: "1 observer"}.get(end.observers, f"{end.observers} observers")
    at = f" at {end.seen[0]}" if end.seen else ""
    return f"{'no NAT' if end.nat == 'none' else end.nat}{at} ({agree})"
