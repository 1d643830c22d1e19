"""The joiner's side of a join: one address after the other until a certificate or a refusal is final.

Invariant: with a pinned CA the request is sent only after `check_lane` accepted who is asked.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from pulse.core.trust.identity import node_id
from pulse.core.trust.join import (
    RETRYABLE,
    Denied,
    Enrolment,
    Refusal,
    build_request,
    check_grant,
    check_lane,
    key_of_csr,
    parse_answer,
    refusal_text,
)
from pulse.core.trust.tokens import Token
from pulse.errors import ProtocolError, Refused

ATTEMPT_SECONDS: Final = 15.0
"""For one address: the relay itself waits 10 s for the CA."""


@dataclass(frozen=True, slots=True)
class OpenLane:
    """Connect to the join lane at `address`; answer with `lane_opened` or `lane_failed`."""

    address: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class CloseLane:
    """Drop the lane: nothing more is expected of it."""


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Send on the open lane; answer with `answer_received` or `lane_failed`."""

    request: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """The end: write `enrolment` to disk."""

    enrolment: Enrolment


@dataclass(frozen=True, slots=True)
class JoinRefused:
    """The end: no certificate. `text` is for people; with `retryable` the same command may work later."""

    text: str
    retryable: bool


Effect = OpenLane | CloseLane | SendRequest | Joined | JoinRefused


class Phase(Enum):
    """Where a join stands."""

    OPENING = "opening"
    ASKING = "asking"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Applicant:
    """The machine that joins: `csr` proves its key, `nonce` is 16 random bytes, `host` the name it asks for."""

    csr: bytes
    nonce: bytes
    host: str = ""


class Joiner:
    """One join with `token` by way of any of `addresses`, into `network` if that is named."""

    def __init__(
        self, addresses: tuple[str, ...], token: Token, applicant: Applicant, network: str | None, now: float
    ) -> None:
        self.phase = Phase.OPENING
        self._waiting = list(addresses)
        self._token, self._keys, self._network = token, token.keys, network
        self._node = node_id(key_of_csr(applicant.csr))
        self._request = build_request(self._keys, applicant.csr, applicant.nonce, applicant.host)
        self._failures: list[str] = []
        self._retryable = False
        self._address = ""
        self._give_up = now

    def deadline(self) -> float | None:
        """When it next wants to be woken."""
        return None if self.phase is Phase.OVER else self._give_up

    def tick(self, now: float) -> list[Effect]:
        """Begin with the first address, or give up on one that takes too long."""
        if self.phase is Phase.OVER or now < self._give_up:
            return []
        if not self._address:
            return self._next(now)
        return self._failed(f"no answer in {ATTEMPT_SECONDS:.0f} s", now, retryable=True)

    def lane_opened(self, leaf: bytes, showing: bytes, now: float) -> list[Effect]:
        """The lane shows `leaf` and, when pinned, the CA certificates; is it who the token is for?"""
        if self.phase is not Phase.OPENING:
            return []
        if self._token.ca_hash is not None:
            try:
                check_lane(leaf, showing, self._token.ca_hash, self._network)
            except (ProtocolError, Refused) as error:
                return self._failed(str(error), now)
        self.phase = Phase.ASKING
        return [SendRequest(self._request)]

    def lane_failed(self, reason: str, now: float) -> list[Effect]:
        """The lane could not be opened, or broke before its answer."""
        return [] if self.phase is Phase.OVER else self._failed(reason, now, retryable=True)

    def answer_received(self, answer: bytes, now: float, wall: float) -> list[Effect]:
        """The answer came; `wall` is our wall clock, to judge the certificate by."""
        if self.phase is not Phase.ASKING:
            return []
        try:
            parsed = parse_answer(answer, self._request, self._keys)
            if isinstance(parsed, Denied):
                return self._denied(parsed, now)
            enrolment = check_grant(parsed, self._node, wall, self._token.ca_hash, self._network)
        except ProtocolError as error:
            return self._failed(str(error), now)
        except Refused as error:
            return self._end(JoinRefused(str(error), retryable=False))
        return self._end(Joined(enrolment))

    def _denied(self, denied: Denied, now: float) -> list[Effect]:
        if denied.refusal in RETRYABLE:
            return self._failed(refusal_text(denied), now, retryable=True)
        if denied.refusal == Refusal.UNKNOWN_TOKEN and self._waiting:
            return self._failed(refusal_text(denied), now)
        return self._end(JoinRefused(refusal_text(denied), retryable=False))

    def _failed(self, reason: str, now: float, *, retryable: bool = False) -> list[Effect]:
        self._failures.append(f"could not join at {self._address}: {reason}")
        self._retryable |= retryable
        return [CloseLane(), *self._next(now)]

    def _next(self, now: float) -> list[Effect]:
        if not self._waiting:
            self.phase = Phase.OVER
            return [JoinRefused(self._why_not(), self._retryable)]
        self.phase = Phase.OPENING
        self._address = self._waiting.pop(0)
        self._give_up = now + ATTEMPT_SECONDS
        return [OpenLane(self._address, self._token.ca_hash is not None)]

    def _end(self, effect: Effect) -> list[Effect]:
        self.phase = Phase.OVER
        return [CloseLane(), effect]

    def _why_not(self) -> str:
        if not self._failures:
            return "no address to join at.\nName a node: pulse join <host:port> --token-file <file>"
        hint = "Is the node up, and can UDP reach it? Then run the same command again." if self._retryable else None
        return "\n".join(filter(None, (*self._failures, hint)))
