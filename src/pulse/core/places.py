"""Which machines hear that we, or others, are to be found elsewhere.

Invariant: whatever makes an address worth another try is told here, and every machine that dials hears of it.
"""

from pulse.core.effects import INFO, Log
from pulse.core.facts import (
    AddressesChanged,
    BeaconHeard,
    LansChanged,
    LinkMoved,
    PortMapped,
    RelaysPublished,
    SourcesChanged,
    Woke,
)
from pulse.core.machines import Machines
from pulse.core.news import Outcomes, seen_elsewhere
from pulse.core.types import SHORT_ID

Place = RelaysPublished | AddressesChanged | PortMapped | SourcesChanged | Woke | LinkMoved | LansChanged | BeaconHeard
"""Facts of where we or others are."""


def places_changed(of: Machines, fact: Place, now: float) -> Outcomes:
    """Hand one such fact on."""
    match fact:
        case RelaysPublished(relays):
            return of.neighbours.relays_published(relays, now)
        case AddressesChanged(candidates):
            return _addresses_changed(of, candidates, now)
        case PortMapped(address):
            of.sight.port_mapped(address)
            return seen_elsewhere(of, now)
        case SourcesChanged(links):
            log = Log("this machine moved", INFO, {"links": len(links)})
            return [log, *of.neighbours.sources_changed(links, now)]
        case Woke(seconds):
            log = Log("woke up", INFO, {"seconds": round(seconds)})
            return [log, *of.neighbours.woke(now), *of.traversal.addresses_changed(now), *of.beacons.woke(now)]
        case LinkMoved(link, node, observed):
            log = Log("neighbour moved", INFO, {"node": node[:SHORT_ID]})
            told = of.sight.link_moved(link, observed, now)
            return [log, *told, *of.neighbours.link_moved(link, observed, now)]
        case LansChanged() | BeaconHeard():
            return _lan_spoke(of, fact, now)


def _lan_spoke(of: Machines, fact: LansChanged | BeaconHeard, now: float) -> Outcomes:
    match fact:
        case LansChanged(count, port):
            return of.beacons.lans_changed(count, port, now)
        case BeaconHeard(data, source, on_link):
            return of.beacons.beacon_heard(data, source, now, on_link=on_link)


def _addresses_changed(of: Machines, candidates: tuple[str, ...], now: float) -> Outcomes:
    of.sight.addresses_changed(candidates)
    seen = seen_elsewhere(of, now)
    again = [*of.neighbours.addresses_changed(now), *of.traversal.addresses_changed(now)]
    return [*seen, *of.wanted.addresses_changed(now), *again]
