"""Has this node's certificate renewed: asks for the next one when the core says so, keeps it, shows it from then on.

Invariant: a certificate is on disk before anybody is shown it, and what was not proven to come from the CA is not kept.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pulse import clock
from pulse.core.facts import ChainShown, Fact, IdentityRenewed
from pulse.core.messages import MethodName
from pulse.core.trust.authorities import chain_of
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.join import RETRYABLE, Denied, Enrolment, Refusal, check_lane, refusal_text, statements_shown
from pulse.core.trust.renew import build_renewal, parse_answer
from pulse.core.trust.renewal import AskCa, Overdue, Renewal
from pulse.core.types import NodeId
from pulse.errors import LinkError, PulseError, Refused
from pulse.net.lanes import open_lane
from pulse.net.links import Links, Rpc
from pulse.store import identity as disk
from pulse.store.identity import Identity

log = logging.getLogger(__name__)

NONCE_BYTES = 16

CLOCK_LOOK = 10.0
"""Seconds between looks at the wall clock, which may be put right at any moment."""

LANE_PATIENCE = 15.0
"""Seconds for one node's join lane: it waits 10 s for the CA."""

CA_PATIENCE = 10.0

MOST_BOOTSTRAP = 8

MOST_PLACES = 32
"""Join lanes that are tried in one round."""


OwnCa = Callable[[NodeId, bytes], Awaitable[bytes]]
"""The CA on this node: who asks, and the request; the answer."""


class RenewalDenied(Refused):
    """The CA itself said no; asking another node would not help."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(refusal_text(denied))
        self.refusal = denied.refusal


def signed_request(held: Identity) -> bytes:
    """A new request for the next certificate."""
    return build_renewal(held.certificate, secrets.token_bytes(NONCE_BYTES), held.key)


def following(held: Identity, request: bytes, answer: bytes) -> Identity:
    """The identity with the certificate in the CA's answer. Raises RenewalDenied, LinkError, or as `parse_answer`."""
    me = held.certificate
    known = chain_of(me.network, held.authorities, held.successions)
    outcome = parse_answer(answer, request, me, known)
    if isinstance(outcome, Enrolment):
        return replace(
            held,
            certificate=outcome.certificate,
            authorities=outcome.authorities,
            successions=outcome.successions,
            time_floor=max(held.time_floor, outcome.ca_time),
        )
    if outcome.refusal in RETRYABLE:
        raise LinkError(refusal_text(outcome))
    raise RenewalDenied(outcome)


async def over_lanes(links: Links, held: Identity, places: Iterable[str]) -> Identity:
    """Ask over the join lanes at `places`, one after the other; raises RenewalDenied, or LinkError if none helped.

    Where help came from is where to start from next time: after so long other places may be dead.
    """
    reasons: list[str] = []
    for place in [*dict.fromkeys(places)][:MOST_PLACES]:
        try:
            async with asyncio.timeout(LANE_PATIENCE):
                renewed = await _over_lane(links, held, place)
            return replace(renewed, bootstrap=tuple(dict.fromkeys((place, *held.bootstrap)))[:MOST_BOOTSTRAP])
        except RenewalDenied:
            raise
        except (PulseError, OSError, TimeoutError) as error:
            reasons.append(f"{place}: {error or 'no answer'}")
    raise LinkError("; ".join(reasons) or "no address of another node is known")


async def _over_lane(links: Links, held: Identity, place: str) -> Identity:
    network = held.certificate.network
    lane, _ = await open_lane(links, place, pinned=True)
    check_lane(lane.leaf, lane.objects, network.ca_hash, network.name)
    # A refusal brings no statements: one signed by a key of later would not be believed without these.
    held = _informed(held, statements_shown(lane.objects))
    request = signed_request(held)
    return following(held, request, await lane.send(request))


def _informed(held: Identity, statements: Sequence[bytes]) -> Identity:
    """The identity that knows these statements about CA keys, too. Raises Refused for one that does not fit."""
    chain = chain_of(held.certificate.network, held.authorities, held.successions)
    return replace(held, successions=chain.merged(statements).statements)


@dataclass(slots=True)
class RenewalService:
    """Keeps the certificate of this node good."""

    links: Links
    identity: Identity
    machine: Renewal
    data_dir: Path
    show: Callable[[Identity], None]
    """Has handshakes show it."""
    tell: Callable[[Fact], None]
    call: Rpc
    ca_nodes: Callable[[], frozenset[NodeId]]
    places: Callable[[], Iterable[str]]
    """Where other nodes may be reached, best first."""
    is_linked: Callable[[], bool] = lambda: True
    """True if there is a link with anybody."""
    overdue: Callable[[Certificate], Overdue] = lambda _: Overdue.NOT
    """Whether the CA signs with another key by now than it signed that certificate with."""
    statements: Callable[[], tuple[bytes, ...]] = tuple
    """What is known of CA keys by now, which may be more than when the certificate was made."""
    nodes: Callable[[], int] = lambda: 1
    """How many nodes there are, ourselves included."""
    own_ca: OwnCa | None = None
    """The CA, if it is on this node."""
    _trust_changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """Renew, until cancelled."""
        while True:
            overdue = self.overdue(self.identity.certificate)
            if overdue is not Overdue.NOT:
                self.machine.superseded(self.nodes(), clock.wall())
            for effect in self.machine.tick(clock.wall()):
                await self._ask(over_session=isinstance(effect, AskCa) and overdue is not Overdue.OUTCAST)
            due = self.machine.deadline()
            left = CLOCK_LOOK if due is None else due - clock.wall()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(left, 0.0), CLOCK_LOOK)):
                    await self._trust_changed.wait()
            self._trust_changed.clear()

    def trust_changed(self) -> None:
        """Other CA keys count, or the CA speaks with another one."""
        self._trust_changed.set()

    async def _ask(self, *, over_session: bool) -> None:
        try:
            renewed = await self._asked(over_session=over_session)
            if renewed.certificate.not_before > self.identity.certificate.not_before:
                self._keep(renewed)
        except RenewalDenied as error:
            log.warning("certificate not renewed: the CA refused", extra={"error": str(error)})
            if error.refusal == Refusal.NODE_REVOKED:
                self.machine.revoked(clock.wall())
            else:
                self.machine.failed(clock.wall())
        except PulseError as error:
            log.info("certificate not renewed yet", extra={"error": str(error)})
            self.machine.failed(clock.wall())
        else:
            self.machine.renewed(renewed.certificate, clock.wall())

    async def _asked(self, *, over_session: bool) -> Identity:
        held = _informed(self.identity, self.statements())
        if self.own_ca is not None:
            request = signed_request(held)
            answer = await self.own_ca(held.certificate.node_id, request)
            return following(held, request, answer)
        if not over_session:
            return await over_lanes(self.links, held, self.places())
        error: PulseError = LinkError("this node has not met the CA's node")
        for ca in sorted(self.ca_nodes()):
            request = signed_request(held)
            try:
                answer = await self.call(ca, MethodName.RENEW, request, CA_PATIENCE)
                return following(held, request, answer)
            except LinkError as failed:
                error = failed
        if self.is_linked():
            raise error
        # Nobody takes a link with us, perhaps for our certificate's sake: the join lane asks for none.
        return await over_lanes(self.links, held, self.places())

    def _keep(self, renewed: Identity) -> None:
        """First the disk, then the handshakes, then the mesh: nobody hears of a certificate that a crash could lose."""
        disk.save(self.data_dir, renewed)
        self.identity = renewed
        self.tell(ChainShown(renewed.successions))
        self.show(renewed)
        self.tell(IdentityRenewed(renewed.certificate.der))
