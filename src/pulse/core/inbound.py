"""Which machine a neighbour's message is for.

Invariant: nothing a neighbour sends raises; what cannot be read closes its link, what is of a later release is counted.
"""

from pulse.core import messages
from pulse.core.effects import INFO, WARNING, CloseLink, Log
from pulse.core.machines import Machines
from pulse.core.news import Outcomes, seen_elsewhere
from pulse.core.paths.neighbours import Neighbour
from pulse.core.types import SHORT_ID, LinkId
from pulse.errors import ProtocolError


def message_received(of: Machines, link: LinkId, payload: bytes, now: float) -> Outcomes:
    """Decode what a neighbour sent and hand it on; who breaks the protocol is closed."""
    neighbour = of.neighbours.get(link)
    if neighbour is None:
        return []
    try:
        return _message(of, neighbour, messages.decode(payload), now)
    except ProtocolError as error:
        fields = {"node": neighbour.node[:SHORT_ID], "error": str(error)}
        return [CloseLink(link, "protocol"), Log("neighbour broke the protocol", WARNING, fields)]


def _message(of: Machines, neighbour: Neighbour, message: messages.Message | messages.Unknown, now: float) -> Outcomes:
    link = neighbour.link
    match message:
        case messages.Observed(host, port):
            before = of.sight.candidates(), of.sight.is_open()
            told = of.sight.observed(link, host, port, now)
            same = before == (of.sight.candidates(), of.sight.is_open())
            return told if same else [*told, *seen_elsewhere(of, now)]
        case messages.Objects(items, complete):
            ders = [each.data for each in items if each.kind == messages.ObjectKind.CERTIFICATE]
            shared = of.sharing.objects_received(link, items, now, complete=complete)
            return [*shared, *of.gossip.certificates_received(link, ders, now)]
        case messages.Leaving(reason):
            if not of.linkstate.is_in_use(link):
                # It said so before, or does not answer: to say it again is worth no line of the log.
                return []
            log = Log("neighbour is leaving", INFO, {"reason": messages.printable(reason)})
            # It still carries what is on its way; nothing more is sent there.
            return [log, *of.linkstate.link_suspected(link, True)]
        case messages.NodeRecords() | messages.Have() | messages.Prune() | messages.Digest() | messages.Want():
            return of.gossip.message_received(link, message, now)
        case _:
            of.unknown_messages += 1
            return []
