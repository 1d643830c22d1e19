"""Join tokens: their secret, the keys made from it, how they are printed, and when they are good.

A token never leaves the machine: HKDF-Expand under three labels gives a selector to find it by, a key that
proves it was known, and a key for the answer. Everything pulse prints ends in the CA hash, so that a joiner
can tell the CA from an impostor. Invariant: no text of an error holds a secret.
"""

import base64
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from pulse.core.trust.identity import check_name, check_tag
from pulse.errors import Refused

SECRET_BYTES: Final = 32
SELECTOR_BYTES: Final = 16
LEAST_CHARACTERS: Final = 32
LEAST_DIFFERENT: Final = 10
MOST_CHARACTERS: Final = 512
TAGS_LIMIT: Final = 32
LONGEST_TTL: Final = 10 * 365 * 86400.0
MOST_USES: Final = 1_000_000

_PRINTED = re.compile(r"(?P<secret>.+)\.(?P<hash>[0-9a-f]{64})")
_CUT_SHORT = re.compile(r"[A-Za-z0-9_-]{43}\.[0-9a-f]{0,63}")
_ADVICE: Final = "Make one on the CA: pulse token create --ttl 1h --max-uses 1"


class Unfit(IntEnum):
    """Why a known token opens nothing; the numbers are those of `join.Refusal`."""

    EXPIRED = 2
    USED_UP = 3
    REVOKED = 4


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """What both ends work out from a token's secret; `selector` alone is ever sent."""

    selector: bytes
    join: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Token:
    """A token as typed: its secret and, if it was printed by pulse, the hash of the CA it is for."""

    secret: str
    ca_hash: str | None

    @property
    def keys(self) -> TokenKeys:
        """The keys made from the secret."""
        return derive(self.secret)


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as the CA's ledger knows it; times are seconds since 1970."""

    keys: TokenKeys
    created: float
    expires: float | None = None
    max_uses: int = 0
    """How many machines may join with it; 0 means no limit."""
    uses: int = 0
    tags: tuple[str, ...] = ()
    name: str | None = None
    is_master: bool = False
    revoked: float | None = None

    @property
    def token_id(self) -> str:
        """How people name the token: its selector in hex."""
        return self.keys.selector.hex()

    def unfit(self, now: float) -> Unfit | None:
        """Why nobody new may join with it, or None."""
        if self.revoked is not None:
            return Unfit.REVOKED
        if self.expires is not None and now >= self.expires:
            return Unfit.EXPIRED
        if self.max_uses and self.uses >= self.max_uses:
            return Unfit.USED_UP
        return None


def secret_from(random: bytes) -> str:
    """A new secret of 43 characters from 32 random bytes."""
    if len(random) != SECRET_BYTES:
        raise ValueError(f"a secret is made of {SECRET_BYTES} random bytes, not {len(random)}")
    return base64url(random)


def derive(secret: str) -> TokenKeys:
    """HKDF-Expand (RFC 5869) of the secret under three labels."""
    return TokenKeys(
        selector=_expand(secret, b"pulse token selector v1", SELECTOR_BYTES),
        join=_expand(secret, b"pulse token join v1", 32),
        answer=_expand(secret, b"pulse token answer v1", 32),
    )


def print_token(secret: str, ca_hash: str) -> str:
    """The form pulse shows: `<secret>.<64 hex digits of the CA hash>`."""
    return f"{secret}.{ca_hash}"


def parse_token(text: str) -> Token:
    """Read a token as typed, printed or chosen by people; raises Refused if it is cut short or too weak."""
    text = text.strip()
    match = _PRINTED.fullmatch(text)
    if match is None and _CUT_SHORT.fullmatch(text):
        raise Refused("this token is cut short: it ends in the 64 digits of the CA hash.\nCopy it again, whole.")
    secret = match["secret"] if match else text
    check_strength(secret)
    return Token(secret, match["hash"] if match else None)


def check_strength(secret: str) -> None:
    """Raise Refused, with the command that makes a good one, for a secret that could be guessed."""
    if len(secret) < LEAST_CHARACTERS:
        count = f"{len(secret)} character{'' if len(secret) == 1 else 's'}"
        raise Refused(f"this token is too short to be safe ({count}, {LEAST_CHARACTERS} needed).\n{_ADVICE}")
    if len(set(secret)) < LEAST_DIFFERENT:
        raise Refused(
            f"this token is too easy to guess ({len(set(secret))} different characters, {LEAST_DIFFERENT} needed).\n"
            f"{_ADVICE}"
        )
    if len(secret) > MOST_CHARACTERS:
        raise Refused(f"this token is too long ({len(secret)} characters, {MOST_CHARACTERS} allowed).\n{_ADVICE}")
    if not all("!" <= char <= "~" for char in secret):
        raise Refused(f"this token has a space, a control or a foreign character in it.\n{_ADVICE}")


def new_token(
    secret: str,
    now: float,
    *,
    ttl: float | None = None,
    max_uses: int = 0,
    tags: tuple[str, ...] = (),
    name: str | None = None,
    is_master: bool = False,
) -> TokenRecord:
    """The ledger's record of a new token; raises Refused for terms that cannot be kept."""
    check_strength(secret)
    if ttl is not None and not 0 < ttl <= LONGEST_TTL:
        raise Refused(f"a token cannot be good for {ttl:g} seconds; 1 second to 10 years are possible")
    if not 0 <= max_uses <= MOST_USES:
        raise Refused(f"a token cannot be good for {max_uses} machines; 1 to 1000000, or 0 for no limit")
    for tag in tags:
        check_tag(tag)
    if len(tags) > TAGS_LIMIT:
        raise Refused(f"{len(tags)} tags on one token; {TAGS_LIMIT} are allowed")
    if name is not None:
        check_name(name)
    if name is not None and max_uses != 1:
        raise Refused(f"a token with a name ({name}) is for one machine: add --max-uses 1")
    return TokenRecord(
        derive(secret),
        created=now,
        expires=None if ttl is None else now + ttl,
        max_uses=max_uses,
        tags=tuple(dict.fromkeys(tags)),
        name=name,
        is_master=is_master,
    )


def base64url(data: bytes) -> str:
    """Base64 for URLs (RFC 4648 §5) without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _expand(secret: str, label: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256(), length, label).derive(secret.encode())
