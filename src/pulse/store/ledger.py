"""The CA's ledger: one durable transaction a join, and an audit line in each.

One writer at a time, so of any number of joiners on a single-use token one wins.
Invariant: an answer leaves only after its transaction is on disk.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from pulse.core.trust.admission import (
    HELD_AFTER,
    Admit,
    AdmitOwn,
    Deny,
    Reissue,
    Repeat,
    clock_is_sound,
    decide,
    decide_own,
    decide_signed,
)
from pulse.core.trust.ca import Issuer
from pulse.core.trust.certificates import Certificate, parse
from pulse.core.trust.join import (
    Denied,
    Floors,
    Granted,
    Refusal,
    build_answer,
    build_general_refusal,
    parse_request,
    refusal_text,
)
from pulse.core.trust.readmission import Dismiss, Readmit, Remind, decide_renewal
from pulse.core.trust.renew import build_answer as build_renewed
from pulse.core.trust.renew import read_renewal, serial_of
from pulse.core.trust.tokens import TokenRecord, derive, new_token, parse_token
from pulse.core.types import LEAST_PREFIX, SHORT_ID, Network, NodeId
from pulse.errors import Conflict, NotFound, Refused
from pulse.store import journal
from pulse.store.database import Database
from pulse.store.journal import Entry, Fields, Verification
from pulse.store.register import Register

REFUSALS_BURST: Final = 60
REFUSALS_PER_SECOND: Final = 0.1
"""Strangers can cause refusals: so many are journaled, the rest is counted in the next line."""


@dataclass(frozen=True, slots=True)
class Admission:
    """How a join ended; `answer` goes back to the joiner as it is."""

    answer: bytes
    refusal: Refusal | None
    node: NodeId | None
    certificate: bytes | None
    is_new: bool
    """False for a refusal, and for a retry, which got the certificate it had."""


class Ledger:
    """An open ledger, used from one thread; times are the CA's wall clock in seconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._register = Register(database.connection)
        self._allowance = float(REFUSALS_BURST)
        self._refused_at: float | None = None
        self._untold = 0

    @classmethod
    def create(cls, path: Path, network: Network, now: float) -> Self:
        """A new, empty ledger; raises Conflict if there is one."""
        return cls(Database.create(path, network, now))

    @classmethod
    def open(cls, path: Path, network: Network) -> Self:
        """The ledger of `network`; raises NotFound, Refused, Damaged or SystemRefused that names the file."""
        return cls(Database.open(path, network))

    def close(self) -> None:
        """Let go of the file; what was committed is on disk already."""
        self._database.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def admit(
        self, issuer: Issuer, request: bytes, *, now: float, serial: int, floors: Floors, vouched: bool = False
    ) -> Admission:
        """Judge a join request and answer it, durably.

        `serial` is random, under 2^159; `vouched` says that neighbours' hellos or --force-time stand for our
        clock. Raises ProtocolError for bytes that are no request; Damaged, Conflict or SystemRefused if the
        ledger cannot be written, and then the same request may come again.
        """
        asked = parse_request(request)
        with self._database.transaction():
            decision = decide(asked, request, self._register, issuer, now, vouched=vouched)
            if isinstance(decision, Deny):
                return self._deny(request, decision, now)
            der = decision.der if isinstance(decision, Repeat) else self._issue(decision, issuer, serial, now)
        granted = Granted(der, list(issuer.authorities), list(issuer.successions), floors, now)
        answer = build_answer(request, granted, decision.token.keys)
        return Admission(answer, None, decision.node, der, isinstance(decision, Admit))

    def renew(self, issuer: Issuer, request: bytes, *, now: float, floors: Floors, vouched: bool = False) -> Admission:
        """Judge a request for a member's next certificate and answer it, durably.

        Raises ProtocolError for a request that nobody of this network made, and what `admit` raises.
        """
        shown, serial = read_renewal(request, issuer.trusted, self._is_ours), serial_of(request)
        with self._database.transaction():
            decision = decide_renewal(shown, serial, self._register, issuer, now, vouched=vouched)
            match decision:
                case Dismiss(node, refusal):
                    self._note_refusal(Deny(refusal, None, node), now, "renewal refused")
                    answer = build_renewed(request, Denied(refusal, now), issuer.network, issuer.signer)
                    return Admission(answer, refusal, node, None, is_new=False)
                case Remind(node, der):
                    pass
                case Readmit(node):
                    der = self._issue(decision, issuer, serial, now)
        granted = Granted(der, list(issuer.authorities), list(issuer.successions), floors, now)
        answer = build_renewed(request, granted, issuer.network, issuer.signer)
        return Admission(answer, None, node, der, isinstance(decision, Readmit))

    def enrol_own(self, issuer: Issuer, csr: bytes, host: str, *, now: float, serial: int) -> bytes:
        """The certificate in DER of the CA's own node, which needs no token; raises Refused."""
        with self._database.transaction():
            decision = decide_own(csr, host, self._register, issuer, now)
            if isinstance(decision, Deny):
                raise Refused(refusal_text(Denied(decision.refusal, now)))
            return self._issue(decision, issuer, serial, now)

    def sign(
        self,
        issuer: Issuer,
        csr: bytes,
        *,
        name: str | None,
        tags: tuple[str, ...],
        now: float,
        serial: int,
        vouched: bool = False,
    ) -> bytes:
        """The certificate in DER for a request that a person brought; raises Refused or ProtocolError."""
        with self._database.transaction():
            decision = decide_signed(csr, name, tags, self._register, issuer, now, vouched=vouched)
            if isinstance(decision, Deny):
                raise Refused(refusal_text(Denied(decision.refusal, now)))
            return self._issue(decision, issuer, serial, now)

    def put_back(self, now: float) -> list[TokenRecord]:
        """This ledger is a backup's: its tokens may be used up or revoked by now, so all are revoked, the master too.

        Those that were good till then.
        """
        with self._database.transaction():
            doubtful = [each for each in self._register.tokens() if each.revoked is None]
            for token in doubtful:
                self._register.revoke_token(token, now)
            self._note(now, "ledger put back from a backup", {"tokens_revoked": len(doubtful)})
        return doubtful

    def take_in(self, certificates: Iterable[Certificate], now: float) -> int:
        """Certificates of ours that the mesh knows and a backup did not: their addresses and names are held again."""
        with self._database.transaction():
            fresh = [each for each in certificates if not self._register.is_issued(each.serial)]
            for each in fresh:
                self._register.adopt(each, each.not_after + HELD_AFTER)
            if fresh:
                self._note(now, "certificates taken in from the mesh", {"count": len(fresh)})
        return len(fresh)

    def add_token(self, token: TokenRecord) -> None:
        """Store a new token; raises Conflict if it exists or its name belongs to a node."""
        with self._database.transaction():
            if token.name is not None and self._register.name_holder(token.name, token.created) is not None:
                raise Conflict(f"the name {token.name} belongs to a node.\nTake another.")
            self._register.add_token(token)
            self._note(token.created, "token made", _terms(token))

    def set_master(self, secret: str, now: float) -> None:
        """Make `secret` the master token; the one before is revoked. Raises Refused for a weak or a revoked one."""
        if self.master() == secret:
            return
        token = new_token(secret, now, is_master=True)
        with self._database.transaction():
            held = self._register.token(token.keys.selector)
            if held is not None and held.revoked is not None:
                raise Refused(
                    "this master token was revoked: another took its place, or the CA was put back from a backup.\n"
                    "Start the CA with another one: --ca-token <token>, of 32 characters or more"
                )
            for older in self._register.tokens():
                if older.is_master and older.revoked is None:
                    self._register.revoke_token(older, now)
                    self._note(now, "token revoked", {"token": older.token_id[:SHORT_ID]})
            self._register.add_token(token, secret)
            self._note(now, "master token set", {"token": token.token_id[:SHORT_ID]})

    def master(self) -> str | None:
        """The master token in force: as secret as the CA key."""
        with self._database.translated():
            return self._register.master_secret()

    def tokens(self) -> list[TokenRecord]:
        """All tokens, oldest first, the master token among them."""
        with self._database.translated():
            return self._register.tokens()

    def token_users(self) -> dict[str, list[NodeId]]:
        """Who joined with which token, by its id; in the order in which they did."""
        with self._database.translated():
            return {selector.hex(): nodes for selector, nodes in self._register.token_users().items()}

    def revoke_token(self, text: str, now: float) -> TokenRecord:
        """Revoke the token whose id begins with `text`, or that is `text`; raises NotFound or Conflict."""
        with self._database.transaction():
            token = self._find_token(text.strip())
            if token.revoked is not None:
                return token
            self._register.revoke_token(token, now)
            self._note(now, "token revoked", {"token": token.token_id[:SHORT_ID]})
            return replace(token, revoked=now)

    def revoke_node(self, node: NodeId, data: bytes, now: float) -> None:
        """Take in a revocation in its signed bytes: the node gets no certificate any more."""
        with self._database.transaction():
            if not self._register.is_revoked(node):
                self._note(now, "node revoked", {"node": node})
            self._register.revoke_node(node, data, now)

    def reinstate_node(self, node: NodeId, now: float) -> None:
        """Forget a revocation: the node may have a certificate again."""
        with self._database.transaction():
            if self._register.is_revoked(node):
                self._note(now, "node reinstated", {"node": node})
                self._register.reinstate_node(node)

    def revocations(self) -> list[bytes]:
        """The signed revocations, in their exact bytes."""
        with self._database.translated():
            return self._register.revocations()

    def public_key(self, node: NodeId) -> bytes | None:
        """The 32 bytes of the key the node's last certificate was issued for; None if it never had one."""
        with self._database.translated():
            issued = self._register.newest_certificate(node)
        return None if issued is None else parse(issued.der).public_key

    def claim_scribe(self, node: NodeId, now: float) -> bool:
        """True for one node in the ledger's life, however often: the first that joined with a master token and asks."""
        with self._database.transaction():
            if not self._register.joined_with_master(node):
                return False
            if self._register.claim_scribe(node):
                self._note(now, "first scribe claimed", {"node": node})
            return self._register.first_scribe() == node

    def role_granted(self, node: NodeId, role: str, epoch: int, now: float) -> None:
        """Write into the journal that a person gave a node a role."""
        with self._database.transaction():
            self._note(now, "role granted", {"node": node, "role": role, "epoch": epoch})

    def role_taken(self, node: NodeId, role: str, epoch: int, now: float) -> None:
        """Write into the journal that a person took a role from a node."""
        with self._database.transaction():
            self._note(now, "role taken", {"node": node, "role": role, "epoch": epoch})

    def key_step(self, number: int, step: str, event: str, fields: Fields, now: float) -> None:
        """Write into the journal, once, that the replacement of the CA's key by its `number`th came to a step."""
        with self._database.transaction():
            if self._register.take_step(f"{number}.{step}"):
                self._note(now, event, {"number": number, **fields})

    def unexpired(self, now: float) -> list[Certificate]:
        """All certificates good at `now` or later, of nodes that are not revoked."""
        with self._database.translated():
            return self._register.unexpired(now)

    def heartbeat(self, now: float, *, vouched: bool = False) -> bool:
        """Hourly: move the newest time on; False if the clock leapt and nobody vouches for it."""
        with self._database.transaction():
            if not clock_is_sound(self._register, now, vouched=vouched):
                return False
            self._register.see_time(now)
            return True

    def newest_time(self) -> float:
        """Newest time the ledger ever saw."""
        with self._database.translated():
            return self._register.newest_time()

    def entries(self, after: int = 0, limit: int = 1000) -> list[Entry]:
        """At most `limit` journal entries after number `after`, oldest first."""
        with self._database.translated():
            return journal.entries(self._database.connection, after, limit)

    def verify(self) -> Verification:
        """Walk the journal's chain and name its first broken entry."""
        with self._database.translated():
            return journal.verify(self._database.connection, journal.read_head(self._database.head_path))

    def _is_ours(self, certificate: Certificate) -> bool:
        """True for the very bytes that this ledger issued, under whichever key."""
        with self._database.translated():
            return self._register.issued_as(certificate.serial) == certificate.der

    def _issue(self, admit: AdmitOwn, issuer: Issuer, serial: int, now: float) -> bytes:
        selector = admit.token if isinstance(admit, Readmit) else None
        if isinstance(admit, Admit):
            self._register.use_token(admit.token)
        if isinstance(admit, Admit | Reissue):
            selector = admit.token.keys.selector
        self._register.hold(admit)
        der = issuer.issue(admit.grant, serial)
        self._register.keep_certificate(der, selector, max(now, self._register.newest_time()))
        self._register.see_time(now)
        event = "certificate renewed" if isinstance(admit, Readmit) else "certificate issued"
        self._note(now, event, _issue_fields(admit, serial))
        return der

    def _deny(self, request: bytes, deny: Deny, now: float) -> Admission:
        self._note_refusal(deny, now)
        if deny.token is None:
            answer = build_general_refusal(deny.refusal, now)
        else:
            answer = build_answer(request, Denied(deny.refusal, now), deny.token.keys)
        return Admission(answer, deny.refusal, deny.node, None, is_new=False)

    def _note_refusal(self, deny: Deny, now: float, event: str = "join refused") -> None:
        passed = 0.0 if self._refused_at is None else max(0.0, now - self._refused_at)
        self._refused_at = now
        self._allowance = min(REFUSALS_BURST, self._allowance + passed * REFUSALS_PER_SECOND)
        if self._allowance < 1:
            self._untold += 1
            return
        token = None if deny.token is None else deny.token.token_id[:SHORT_ID]
        fields: Fields = {"refusal": deny.refusal.name.lower(), "token": token, "node": deny.node}
        if self._untold:
            fields["untold"] = self._untold
        self._note(now, event, fields)
        self._allowance, self._untold = self._allowance - 1, 0

    def _note(self, now: float, event: str, fields: Fields) -> None:
        journal.append(self._database.connection, now, event, fields)

    def _find_token(self, text: str) -> TokenRecord:
        tokens = self._register.tokens()
        found = [token for token in tokens if len(text) >= LEAST_PREFIX and token.token_id.startswith(text)]
        if not found and len(text) > SHORT_ID:
            found = [token for token in tokens if token.keys == derive(_secret_of(text))]
        if not found:
            raise NotFound(f"no token begins with {text[:SHORT_ID]}.\nSee which there are: pulse token list")
        if len(found) > 1:
            ids = ", ".join(token.token_id[:SHORT_ID] for token in found)
            raise Conflict(f"{text} stands for {len(found)} tokens: {ids}.\nType more digits.")
        return found[0]


def _secret_of(text: str) -> str:
    try:
        return parse_token(text).secret
    except Refused:
        return text


def _terms(token: TokenRecord) -> Fields:
    return {
        "token": token.token_id[:SHORT_ID],
        "expires": token.expires,
        "max_uses": token.max_uses,
        "tags": " ".join(token.tags),
        "name": token.name,
    }


def _issue_fields(admit: AdmitOwn, serial: int) -> Fields:
    grant = admit.grant
    return {
        "node": admit.node,
        "serial": f"{serial:x}",
        "v4": str(grant.addresses.v4),
        "name": grant.name,
        "host": grant.host,
        "tags": " ".join(grant.tags),
        "token": admit.token.token_id[:SHORT_ID] if isinstance(admit, Admit) else None,
    }
