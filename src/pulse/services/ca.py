"""The CA at work: answers join requests, keeps tokens, and moves its ledger's clock on.

Invariant: an answer leaves only after the ledger's transaction is on disk, so kill -9 at any point loses nothing.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from pulse import clock
from pulse.core.trust.ca import SERIAL_BITS
from pulse.core.trust.certificates import Certificate, parse
from pulse.core.trust.invites import Invite, encode_invite
from pulse.core.trust.join import Floors, Refusal, build_general_refusal
from pulse.core.trust.renew import is_renewal, read_renewal
from pulse.core.trust.tokens import SECRET_BYTES, TokenRecord, new_token, print_token, secret_from
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import ProtocolError, PulseError, Refused
from pulse.net.links import Links
from pulse.schemas.tokens import TokenRequest
from pulse.store.authority import HeldCa
from pulse.store.journal import Entry, Verification
from pulse.store.ledger import Admission

log = logging.getLogger(__name__)

HEARTBEAT = 3600.0
"""Seconds between readings of the clock into the ledger: a CA that runs never looks as if its clock leapt."""


@dataclass(slots=True)
class CaService:
    """The mesh's certificate authority, on the node that holds its key."""

    links: Links
    held: HeldCa
    floors: Callable[[], Floors]
    """Least numbers of roles and config a new node may believe."""
    clock_vouched: Callable[[], bool]
    """True if neighbours' clocks agree with ours, or a person said so."""
    invite_addresses: Callable[[], tuple[str, ...]]
    before_signing: Callable[[], None] = lambda: None
    """Brings the ledger up to date with what the mesh knows; may raise PulseError."""
    check_current: Callable[[], None] = lambda: None
    """Raises Refused if the network's key is not this CA's."""
    issued: Callable[[Certificate], None] = lambda _: None
    """Told of the first certificate of each node."""
    refused: Callable[[str], None] = lambda _: None
    """Told why a join was refused."""
    waits: Callable[[], bool] = lambda: False
    """True while this CA, put back from a backup, has yet to hear from the mesh whom it let in since."""
    _clock_sound: bool = field(default=True, init=False)

    async def run(self) -> None:
        """Answer joins, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            while True:
                offer = await self.links.wait_offer()
                self.links.answer_join(offer.offer, self._answered(offer.request))

    async def join(self, _: NodeId, request: bytes) -> bytes:
        """The RPC `join`: a member passes on what a stranger asked of it."""
        return self._answered(request)

    async def renew(self, _: NodeId, request: bytes) -> bytes:
        """The RPC `renew`: a member asks for its next certificate; who it is the request proves."""
        return self._answered(request)

    # Tokens

    def create_token(self, wanted: TokenRequest) -> tuple[str, TokenRecord]:
        """Mint a token; the text to hand out, which is shown this once, and its record."""
        secret = secret_from(secrets.token_bytes(SECRET_BYTES))
        record = self._mint(secret, wanted)
        return print_token(secret, self.held.issuer.network.ca_hash), record

    def invite(self, wanted: TokenRequest) -> tuple[str, TokenRecord]:
        """Mint a token and wrap it with all a machine needs to join. Raises Refused without an address to name."""
        addresses = self.invite_addresses()
        if not addresses:
            raise Refused(
                "this machine has no address that another could reach, so an invite could name none.\n"
                "Connect it, or say where it is reached: --addr host:port"
            )
        secret = secret_from(secrets.token_bytes(SECRET_BYTES))
        invite = Invite(addresses, self.held.issuer.network, secret)
        return encode_invite(invite), self._mint(secret, wanted)

    def tokens(self) -> list[TokenRecord]:
        """Every token, oldest first."""
        return self.held.ledger.tokens()

    def token_users(self) -> dict[str, list[NodeId]]:
        """Who joined with which token, by its id."""
        return self.held.ledger.token_users()

    def revoke_token(self, prefix: str) -> TokenRecord:
        """Nobody joins with it any more. Raises NotFound or Conflict."""
        return self.held.ledger.revoke_token(prefix, clock.wall())

    def master_token(self) -> str | None:
        """The master token as printed, or None if there is none."""
        secret = self.held.ledger.master()
        return None if secret is None else print_token(secret, self.held.issuer.network.ca_hash)

    # Journal

    def entries(self, after: int, limit: int) -> list[Entry]:
        """Journal entries after number `after`, oldest first."""
        return self.held.ledger.entries(after, limit)

    def verify(self) -> Verification:
        """Walk the journal's chain."""
        return self.held.ledger.verify()

    # Details

    def judged(self) -> float:
        """The time by which tokens are judged: a clock that is set back makes no expired one good again."""
        return max(clock.wall(), self.held.ledger.newest_time())

    def _mint(self, secret: str, wanted: TokenRequest) -> TokenRecord:
        record = new_token(
            secret,
            self.judged(),
            ttl=wanted.ttl,
            max_uses=wanted.uses(0),
            tags=tuple(wanted.tags),
            name=wanted.name,
        )
        self.held.ledger.add_token(record)
        return record

    def _answered(self, request: bytes) -> bytes:
        try:
            return self._answer(request)
        except Exception:
            # A stranger wrote it, and may write it again at once.
            log.exception("request broke the CA")
            return b""

    def _answer(self, request: bytes) -> bytes:
        """The answer to one request, a join's or a renewal's; an empty one hangs up on whoever makes none of ours."""
        now = clock.wall()
        renews = is_renewal(request)
        if self._is_outdated():
            self.refused("join refused; ca_outdated")
            return build_general_refusal(Refusal.CA_OUTDATED, now)
        if self._waits(request, renews=renews):
            return build_general_refusal(Refusal.CA_RECOVERING, now)
        try:
            self.before_signing()
            admission = self._judged(request, now, renews=renews)
        except ProtocolError as error:
            log.info("renewal request forged" if renews else "join request unreadable", extra={"error": str(error)})
            return b""
        except PulseError as error:
            log.error("ledger refused a join", extra={"error": str(error)})
            return build_general_refusal(Refusal.CA_BROKEN, now)
        if admission.refusal is not None:
            event = "renewal refused" if renews else "join refused"
            log.info(event, extra={"refusal": admission.refusal.name.lower()})
            self.refused(f"{event}; {admission.refusal.name.lower()}")
        elif admission.is_new and admission.node is not None and admission.certificate is not None:
            event = "certificate of a node renewed" if renews else "node joined"
            log.info(event, extra={"node": admission.node[:SHORT_ID]})
            if not renews:
                self.issued(parse(admission.certificate))
        return admission.answer

    def _is_outdated(self) -> bool:
        try:
            self.check_current()
        except Refused as error:
            log.info("join refused", extra={"refusal": "ca_outdated", "error": str(error)})
            return True
        return False

    def _waits(self, request: bytes, *, renews: bool) -> bool:
        """True if this must wait; the CA's own node gets its next certificate, or nobody would talk to it."""
        if not self.waits():
            return False
        try:
            return not (renews and read_renewal(request, self.held.issuer.trusted).is_ca)
        except ProtocolError:
            return True

    def _judged(self, request: bytes, now: float, *, renews: bool) -> Admission:
        floors, vouched = self.floors(), self.clock_vouched()
        if renews:
            return self.held.ledger.renew(self.held.issuer, request, now=now, floors=floors, vouched=vouched)
        serial = secrets.randbits(SERIAL_BITS)
        return self.held.ledger.admit(self.held.issuer, request, now=now, serial=serial, floors=floors, vouched=vouched)

    async def _beat(self) -> None:
        while True:
            try:
                self._read_clock()
            except PulseError as error:
                # A full disk is the joiners' trouble; the mesh itself goes on.
                log.error("ledger refused the hourly reading of the clock", extra={"error": str(error)})
            await asyncio.sleep(HEARTBEAT)

    def _read_clock(self) -> None:
        sound = self.held.ledger.heartbeat(clock.wall(), vouched=self.clock_vouched())
        if self._clock_sound and not sound:
            log.warning("the clock leapt by more than 7 days: nothing is signed until neighbours or --force-time agree")
        self._clock_sound = sound
