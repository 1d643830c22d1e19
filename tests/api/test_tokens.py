"""Tokens and invites through the real client."""

from pathlib import Path

import pytest

from pulse import schemas
from pulse.client import Client
from pulse.errors import ConfigError, NotFound, Refused
from tests.api.fake_control import TOKEN, WEAK, FakeControl, made
from tests.api.http import say


def test_terms_of_a_token_reach_the_node(place: Path, control: FakeControl) -> None:
    wanted = schemas.TokenRequest(3600.0, 1, ["db"], "db-server")

    with Client(place) as client:
        assert client.create_token(wanted).info == made(wanted)

    assert control.asked == [wanted]


def test_terms_of_an_invite_reach_the_node(place: Path, control: FakeControl) -> None:
    wanted = schemas.TokenRequest(3600.0, 1)

    with Client(place) as client:
        assert client.invite(wanted).invite.startswith("pls_")

    assert control.asked == [wanted]


def test_tokens_are_listed_and_the_master_token_shown(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert client.list_tokens() == [TOKEN]
        assert client.master_token().token == "m" * 43


def test_a_weak_token_is_refused_in_the_words_of_the_node(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(Refused) as refused:
        client.create_token(schemas.TokenRequest(name="abc"))

    assert str(refused.value) == WEAK


def test_revoking_takes_a_prefix_and_refuses_an_unknown_one(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert client.revoke_token("abab") == TOKEN
        with pytest.raises(NotFound, match='begins with "ff"'):
            client.revoke_token("ff")


@pytest.mark.parametrize("prefix", ["", "ff/..", "?", "a b"])
def test_what_is_no_prefix_never_reaches_the_node(place: Path, control: FakeControl, prefix: str) -> None:
    with Client(place) as client, pytest.raises(NotFound, match="pulse token list"):
        client.revoke_token(prefix)

    assert not control.asked


def test_terms_out_of_bounds_never_reach_the_node(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(ConfigError, match="max_uses"):
        client.create_token(schemas.TokenRequest(max_uses=-1))

    assert not control.asked


@pytest.mark.parametrize(
    ("body", "seconds"),
    [(b'{"ttl":"4h"}', 14400.0), (b'{"ttl":"1h30m"}', 5400.0), (b'{"ttl":60}', 60.0), (b"{}", None)],
)
def test_the_time_of_a_token_is_in_seconds_or_as_people_write_it(
    place: Path, control: FakeControl, body: bytes, seconds: float | None
) -> None:
    for path, status in (("/api/tokens", 201), ("/api/invite", 201)):
        assert say(place, f"POST {path} HTTP/1.1\nContent-Type: application/json", body)[0] == status
    assert control.asked == [schemas.TokenRequest(seconds)] * 2


@pytest.mark.parametrize("body", [b'{"ttl":"4"}', b'{"ttl":""}', b'{"ttl":"0h"}', b'{"ttl":"for ever"}', b'{"ttl":[]}'])
def test_a_time_that_is_none_never_reaches_the_node(place: Path, control: FakeControl, body: bytes) -> None:
    assert say(place, "POST /api/tokens HTTP/1.1\nContent-Type: application/json", body)[0] == 400
    assert not control.asked


def test_a_token_is_ended_by_a_body_too(place: Path, control: FakeControl) -> None:
    head = "DELETE /api/tokens HTTP/1.1\nContent-Type: application/json"

    assert say(place, head, b'{"id":"abab"}')[0] == 200
    assert say(place, head, b'{"id":""}')[0] == 400
    assert say(place, head, b'{"id":"ff"}')[0] == 404
    assert control.asked == ["abab", "ff"]
