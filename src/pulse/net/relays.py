"""Where a domain says the relays of its mesh are: the TXT records of `_pulse.<domain>`, each of `host:port` and more.

Invariant: what a zone says is where to dial and no more; who answers there proves itself by its certificate.
"""

from typing import Final

from pulse.core.addresses import split

MOST: Final = 16
"""Relays taken of one domain: who needs more has a mesh that knows them."""

PATIENCE: Final = 5.0
"""Seconds for all name servers together."""


async def published(domain: str) -> tuple[str, ...]:
    """The relays of a domain, `host:port` each, in order; what is no address is left out. Raises OSError."""
    # The one who asks pays for the library, nobody else.
    from dns.asyncresolver import Resolver
    from dns.exception import DNSException

    name = f"_pulse.{domain}"
    try:
        answer = await Resolver().resolve(name, "TXT", lifetime=PATIENCE)
    except (DNSException, UnicodeError) as error:
        raise OSError(f"cannot look up {name}: {error}") from error
    texts = [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
    return relays_in(texts)


def relays_in(texts: list[str]) -> tuple[str, ...]:
    """The addresses in TXT records, apart by spaces or commas; sorted, for a zone gives its records in any order."""
    words = {word for text in texts for word in text.replace(",", " ").split()}
    return tuple(sorted(filter(_is_address, words)))[:MOST]


def _is_address(word: str) -> bool:
    try:
        return bool(split(word)[0])
    except ValueError:
        return False
