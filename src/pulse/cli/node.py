"""`pulse id`, `pulse cert`, `pulse ping`: this node and one other.

Invariant: parse, one call a line printed, print.
"""

import time
from typing import Annotated, Final

from cyclopts import Parameter

from pulse.cli.output import print_json, print_pairs, print_table
from pulse.cli.values import DataDir, Json
from pulse.client import Client, connect
from pulse.core.types import SHORT_ID, spaced
from pulse.errors import ConfigError, LinkError
from pulse.schemas.cert import FleetCertificate
from pulse.schemas.node import CertificateInfo, PingReply
from pulse.wording import DASH, day, milliseconds, span

PAUSE: Final = 1.0
"""Seconds between two pings."""


def identity(*, json: Json = False, data_dir: DataDir = None) -> None:
    """Show who this node is.

    Its id, name, mesh addresses, roles and tags.
    """
    with connect(data_dir) as client:
        node = client.identity()
    if json:
        print_json(node)
        return
    print_pairs([
        ("node", node.id),
        ("name", node.name),
        ("addresses", f"{node.v4}  {node.v6}"),
        ("network", f"{node.network}, CA {spaced(node.ca_hash)}"),
        ("roles", " ".join(node.roles) or DASH),
        ("tags", " ".join(node.tags) or DASH),
    ])  # fmt: skip


def certificate(
    *,
    fleet: Annotated[bool, Parameter(help="Show when the certificates of all nodes end.")] = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show this node's certificate and when it ends."""
    with connect(data_dir) as client:
        if fleet:
            _show_fleet(client.certificates(), json=json)
            return
        found = client.certificate()
    if json:
        print_json(found)
        return
    left = f"{span(found.left)} left" if found.left > 0 else f"ended {span(-found.left)} ago: nobody talks to this node"
    pinned = "checked at join" if found.pinned else "trusted on first use: compare it with `pulse id` on the CA"
    print_pairs([
        ("certificate", f"{found.name}, {found.serial}"),
        ("node", found.id),
        ("addresses", "  ".join(found.addresses)),
        ("valid", f"{day(found.not_before)} to {day(found.not_after)}, {left}"),
        ("tags", " ".join(found.tags) or DASH),
        ("CA", f"{spaced(found.ca_hash)}, {pinned}"),
        *((("CA key", f"is being replaced; {_key_of(found)}"),) if found.ca_rotating else ()),
    ])  # fmt: skip


def _key_of(found: CertificateInfo) -> str:
    """Under which of both keys a certificate is."""
    return "this is under the old one, and renewed by itself" if found.superseded else "this is under the new one"


def _show_fleet(found: list[FleetCertificate], *, json: bool) -> None:
    """Who ends first comes first; what is to be done stands beside it."""
    if json:
        print_json(found)
        return
    rows = [
        (
            each.name,
            each.id[:SHORT_ID],
            day(each.not_after),
            span(each.left) if each.left > 0 else "ended",
            _advice(each),
        )
        for each in found
    ]
    print_table(("NODE", "ID", "UNTIL", "LEFT", ""), rows, right=frozenset({"LEFT"}), elastic=frozenset({"NODE"}))
    needy = sum(each.outlook != "good" for each in found)
    if needy:
        print(f"{needy} of {len(found)} to see to; the others renew by themselves.")


def _advice(each: FleetCertificate) -> str:
    if each.outlook == "good":
        return ""
    if not each.reached:
        return "away: it renews by itself once it is back, up to 30 days after the end"
    return f"not renewed although it is reached: does it reach the CA? pulse why {each.name}"


def ping(
    node: str,
    /,
    *,
    count: Annotated[int, Parameter(name=["--count", "-c"])] = 4,
    timeout: float = 5.0,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Ask a node for a sign of life, and measure.

    It goes over the session with that node.

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    count
        How often to ask (4).
    timeout
        Seconds to wait for each answer, 60 at most (5).
    """
    if count < 1 or not 0 < timeout <= 60:
        raise ConfigError("pulse ping asks at least once (-c 1), and waits up to 60 seconds (--timeout 5)")
    rounds: list[float] = []
    with connect(data_dir) as client:
        for turn in range(count):
            if turn:
                time.sleep(PAUSE)
            rounds += _ask(client, node, timeout, json=json, last=turn == count - 1 and not rounds)
    if count > 1 and not json:
        mean = sum(rounds) / len(rounds)
        best = min(rounds)
        print(f"{len(rounds)} of {count} answered: {milliseconds(best)} at best, {milliseconds(mean)} on average")


def _ask(client: Client, node: str, timeout: float, *, json: bool, last: bool) -> list[float]:
    """Round trip of one answer, or nothing; raises LinkError where this was the last hope."""
    try:
        reply = client.ping(node, timeout)
    except LinkError as error:
        if last:
            raise
        if not json:
            print(error, flush=True)
        return []
    if json:
        print_json(reply)
    else:
        print(_told(reply), flush=True)
    return [reply.rtt]


def _told(reply: PingReply) -> str:
    way = f"{reply.link} over {reply.via}" if reply.via else reply.link
    return f"{reply.name or reply.id[:SHORT_ID]} ({reply.v4}) answered in {milliseconds(reply.rtt)} by {way}"
