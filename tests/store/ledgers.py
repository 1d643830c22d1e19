"""Ledgers and joins for tests in one line each."""

from hashlib import sha256
from pathlib import Path

from pulse.core.trust.join import Floors, Granted, Refusal, parse_answer
from pulse.core.trust.tokens import TokenRecord
from pulse.store.files import open_data_dir
from pulse.store.ledger import Admission, Ledger
from tests.authority import NOW, Ca, request

CA = Ca()
LEDGER = "ledger.sqlite"
OPEN: list[Ledger] = []
"""Closed when the test ends."""


def make(directory: Path, *tokens: TokenRecord) -> Ledger:
    """A new ledger in a directory of its own, with tokens in it."""
    ledger = Ledger.create(open_data_dir(directory) / LEDGER, CA.network, NOW)
    OPEN.append(ledger)
    for token in tokens:
        ledger.add_token(token)
    return ledger


def reopen(directory: Path) -> Ledger:
    """The ledger that is there."""
    ledger = Ledger.open(directory / LEDGER, CA.network)
    OPEN.append(ledger)
    return ledger


def join(
    ledger: Ledger,
    machine: str,
    token: TokenRecord,
    *,
    host: str = "",
    now: float = NOW,
    serial: int = 0,
    vouched: bool = False,
) -> Admission:
    """A machine asks for a certificate; its serial follows from its name unless given."""
    number = serial or int.from_bytes(sha256(f"{machine} {token.token_id} {now}".encode()).digest()[:15])
    return ledger.admit(
        CA.issuer, request(machine, token, host), now=now, serial=number, floors=Floors(), vouched=vouched
    )


def granted(admission: Admission, machine: str, token: TokenRecord, host: str = "") -> Granted:
    """What the joiner reads in the answer, which must be a grant."""
    answer = parse_answer(admission.answer, request(machine, token, host), token.keys)
    assert isinstance(answer, Granted)
    return answer


def refusal(admission: Admission) -> Refusal:
    """Why it was refused, which it must be."""
    assert admission.refusal is not None
    assert admission.certificate is None
    return admission.refusal


def uses(ledger: Ledger, token: TokenRecord) -> int:
    """How often the ledger counted the token."""
    return next(each.uses for each in ledger.tokens() if each.keys == token.keys)


def issued_serials(ledger: Ledger) -> list[str]:
    """Serials of the certificates the journal tells of."""
    return [str(entry.fields["serial"]) for entry in ledger.entries() if entry.event == "certificate issued"]
