"""Tokens: strong enough, printed with the CA they are for, good only within their terms."""

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.tokens import (
    Token,
    Unfit,
    check_strength,
    derive,
    new_token,
    parse_token,
    print_token,
    secret_from,
)
from pulse.errors import Refused
from tests.authority import NOW, secret, token

CA_HASH = "ab" * 32


@given(st.binary(min_size=32, max_size=32))
def test_a_secret_made_of_random_bytes_is_strong_and_prints_back(random: bytes) -> None:
    made = secret_from(random)
    assert len(made) == 43
    if len(set(made)) >= 10:
        assert parse_token(print_token(made, CA_HASH)) == Token(made, CA_HASH)


def test_a_secret_is_made_of_32_bytes() -> None:
    with pytest.raises(ValueError, match="31"):
        secret_from(bytes(31))


def test_a_token_people_chose_has_no_ca_hash() -> None:
    assert parse_token(f"  {CA_HASH[:31]}cdefghijklmnop \n") == Token(f"{CA_HASH[:31]}cdefghijklmnop", None)


def test_a_token_without_all_of_its_ca_hash_is_cut_short() -> None:
    for text in (print_token(secret("a"), CA_HASH)[:-1], secret("a") + "."):
        with pytest.raises(Refused, match="cut short"):
            parse_token(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("abc", r"too short to be safe \(3 characters, 32 needed\)"),
        ("a", r"\(1 character, 32 needed\)"),
        ("", r"\(0 characters, 32 needed\)"),
        ("abcdefghi" * 5, r"too easy to guess \(9 different characters, 10 needed\)"),
        ("abcdefghijkl" * 50, "too long"),
        ("abcdefghijklmnop qrstuvwxyz0123456", "a space"),
        ("abcdefghijklmnop\x1bqrstuvwxyz0123456", "a control"),
        ("abcdefghijklmnopéqrstuvwxyz0123456", "a foreign character"),
        (f"abc.{CA_HASH}", "too short"),
    ],
)
def test_a_weak_token_is_refused_with_the_command_that_makes_a_good_one(text: str, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint) as caught:
        parse_token(text)
    assert str(caught.value).endswith("Make one on the CA: pulse token create --ttl 1h --max-uses 1")
    assert not text or len(text) < 10 or text not in str(caught.value)


def test_ten_characters_in_thirty_two_are_enough() -> None:
    check_strength("abcdefghij" + "a" * 22)


def test_keys_come_by_hkdf_expand_under_three_labels() -> None:
    keys = derive(secret("a"))
    assert len(keys.selector) == 16
    assert keys.join == HKDFExpand(SHA256(), 32, b"pulse token join v1").derive(secret("a").encode())
    assert len({keys.selector, keys.join[:16], keys.answer[:16]}) == 3
    assert Token(secret("a"), None).keys == keys
    assert derive(secret("b")).selector != keys.selector


def test_a_token_pins_the_bytes_of_its_keys() -> None:
    assert derive("0123456789abcdef0123456789abcdef").selector.hex() == "0e738e79a6d5c2900fcf9bbe322b9897"


def test_a_token_is_good_until_it_expires() -> None:
    made = token("a", ttl=60)
    assert made.unfit(NOW + 59) is None
    assert made.unfit(NOW + 60) is Unfit.EXPIRED
    assert token("a").unfit(NOW * 2) is None


def test_a_token_is_good_for_so_many_machines() -> None:
    made = new_token(secret("a"), NOW, max_uses=2)
    assert made.unfit(NOW) is None
    assert type(made)(made.keys, NOW, max_uses=2, uses=2).unfit(NOW) is Unfit.USED_UP
    assert type(made)(made.keys, NOW, max_uses=0, uses=9).unfit(NOW) is None


def test_a_revoked_token_is_good_for_nothing() -> None:
    made = token("a")
    assert type(made)(made.keys, NOW, revoked=NOW).unfit(NOW) is Unfit.REVOKED
    assert made.token_id == made.keys.selector.hex()


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        ({"ttl": 0}, "0 seconds"),
        ({"ttl": -5}, "-5 seconds"),
        ({"ttl": float("nan")}, "nan seconds"),
        ({"ttl": 1e10}, "10 years"),
        ({"max_uses": -1}, "-1 machines"),
        ({"max_uses": 10_000_000}, "machines"),
        ({"tags": ("A!",)}, "cannot be a tag"),
        ({"tags": tuple(f"t{number}" for number in range(33))}, "33 tags"),
        ({"name": "cafe", "max_uses": 1}, "cannot name a node"),
        ({"name": "db"}, "for one machine"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(terms: dict[str, object], complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        new_token(secret("a"), NOW, **terms)  # type: ignore[arg-type]


def test_a_tag_named_twice_counts_once() -> None:
    assert new_token(secret("a"), NOW, tags=("db", "db"), name="db-1", max_uses=1).tags == ("db",)
