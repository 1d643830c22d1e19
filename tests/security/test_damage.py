"""A file that is not as it was written is named, and never taken for none. Every byte of each: `make killpoints`."""

from tests.killpoints.damage import run

SEED = 20260712
EACH = 2
"""Bytes of each file that are changed here, and lengths it is cut to."""

REFUSED = {
    *("ca/certificate", "ca/journal.head", "ca/key", "ca/range"),
    *("identity/authorities.pem", "identity/certificate.pem", "identity/key.pem", "identity/network"),
}
"""Without these nothing can go on."""


async def test_a_byte_off_or_missing_is_named_and_nothing_is_taken_for_none() -> None:
    results = await run(SEED, EACH)

    assert {name for name, outcome in results if outcome == "refused"} >= REFUSED
    assert [outcome for name, outcome in results if name in REFUSED] == ["refused"] * len(REFUSED)
    assert results["network/config.1.4", "went on, aloud"] == results["network/roles.2", "went on, aloud"] == 2 * EACH
