"""Which machines hear that a link is up, down, suspect or measured, or that a dial brought none.

Invariant: a link of a node that is out, or whose certificate cannot be read, is closed before any machine hears of it.
"""

from collections.abc import Sequence
from typing import Final

from pulse.core.effects import INFO, WARNING, CloseLink, CloseSession, Effect, Log
from pulse.core.facts import DialFailed, LinkDown, LinkSample, LinksSampled, LinkSuspect, LinkUp
from pulse.core.machines import Machines
from pulse.core.news import News, Outcomes, certificate_seen, link_settled, shown_before
from pulse.core.trust.certificates import parse
from pulse.core.types import SHORT_ID, LinkType
from pulse.errors import PulseError

CLOSED: Final = "closed"
"""The code of a dial to a machine that says, by TCP, that nothing listens there."""


def links_changed(
    of: Machines, fact: LinkUp | LinkDown | LinkSuspect | LinksSampled | DialFailed, now: float
) -> Outcomes:
    """Hand one such fact on."""
    match fact:
        case DialFailed():
            gone = _gone(of, fact)
            return [*of.neighbours.dial_failed(fact, now), *gone]
        case LinkUp():
            return _link_up(of, fact, now)
        case LinkDown():
            return _link_down(of, fact, now)
        case LinkSuspect(link, _, suspect):
            return [
                *of.probe.link_suspected(fact),
                *of.linkstate.link_suspected(link, suspect),
                *of.neighbours.link_suspected(link, suspect, now),
            ]
        case LinksSampled(samples):
            return _sampled(of, samples, now)


def _link_up(of: Machines, fact: LinkUp, now: float) -> Outcomes:
    try:
        certificate = parse(fact.certificate)
    except PulseError as error:
        return _turned_away(of, fact, str(error), now)
    if fact.node in of.statements.revoked():
        # It was on its way up when the revocation came.
        return _turned_away(of, fact, f"{fact.node[:SHORT_ID]} is revoked", now)
    punched = of.traversal.is_punched(fact.node, fact.observed)
    apart = fact.dial != 0 and of.traversal.goes_apart(fact.node, fact.observed)
    log = Log("link up", INFO, {"node": fact.node[:SHORT_ID], "transport": fact.transport})
    outcomes: list[Effect | News] = [
        log,
        *of.sight.link_opened(fact, apart=apart),
        *of.neighbours.link_opened(fact, now, punched=punched),
        *of.traversal.link_opened(fact.node, "" if fact.transport == LinkType.WEBSOCKET else fact.observed, now),
        *of.beacons.link_opened(fact.node),
        *of.probe.link_opened(fact.link),
        *certificate_seen(of, certificate),
        *of.gossip.certificate_seen(certificate, now),
        *of.sharing.link_opened(fact.link, fact.node, fact.hello.revocations, now),
        *of.gossip.link_opened(fact.link, fact.node, now),
        *of.wanted.link_opened(fact.node, now),
        *shown_before(of, certificate, now),
    ]
    if not (fact.dial or punched):
        # Nobody had to open a NAT for it, so strangers reach us too.
        outcomes += of.announce.inbound_link_accepted(now)
    return [*outcomes, *(link_settled(of, fact.link, now) if of.sharing.is_settled(fact.link) else [])]


def _turned_away(of: Machines, fact: LinkUp, why: str, now: float) -> Outcomes:
    log = Log("neighbour turned away", WARNING, {"node": fact.node[:SHORT_ID], "error": why})
    failed = of.neighbours.dial_failed(DialFailed(fact.dial, "certificate", why), now)
    return [CloseLink(fact.link, "certificate"), log, *failed]


def _gone(of: Machines, fact: DialFailed) -> Outcomes:
    """A node whose process has ended: no path leads to it, and its machine says that nothing listens where it was.

    One that sleeps says nothing. What answers at the address of a node is its own machine if no NAT is in front of it,
    or one that passes strangers on to it.
    """
    node, address = of.neighbours.aim_of(fact.dial)
    record = of.gossip.record(node) if node and fact.code == CLOSED else None
    if record is None or not (record.open or record.reachable) or address not in record.candidates:
        return []
    if of.routing.path_to(record.node) is not None:
        return []
    return [CloseSession(record.node, "its process has ended")]


def _link_down(of: Machines, fact: LinkDown, now: float) -> Outcomes:
    of.sight.link_closed(fact.link)
    outcomes: list[Effect | News] = [
        Log("link down", INFO, {"node": fact.node[:SHORT_ID], "reason": fact.reason}),
        *of.neighbours.link_closed(fact, now),
        *of.traversal.link_closed(fact.node, now),
        *of.probe.link_closed(fact.link),
        *of.sharing.link_closed(fact.link, now),
        *of.gossip.link_closed(fact.link, now),
        *of.linkstate.link_closed(fact.link, now),
        *of.wanted.link_closed(fact.node, now),
    ]
    member = of.members.get(fact.node)
    if member is not None and of.neighbours.link_to(fact.node) is None:
        outcomes += of.announce.neighbour_down(member.addresses.v4, now)
    return outcomes


def _sampled(of: Machines, samples: Sequence[LinkSample], now: float) -> Outcomes:
    outcomes: list[Effect | News] = [*of.probe.sampled(tuple(samples), now)]
    for sample in samples:
        away = of.probe.distance(sample.link)
        outcomes += of.linkstate.sampled(sample.link, away, sample.loss)
        neighbour = of.neighbours.get(sample.link)
        member = of.members.get(neighbour.node) if neighbour else None
        if member is not None and of.neighbours.link_to(member.node_id) == neighbour:
            outcomes += of.announce.quality_changed(member.addresses.v4, away, sample.loss, now)
    return outcomes
