"""Tokens and invites, as the client asks for them."""

from pathlib import Path

import pytest

from pulse.calls.tokens import TokenCalls
from pulse.client import Client
from pulse.errors import ConfigError, NotFound, Refused
from pulse.schemas.tokens import TokenRequest
from tests.api.fake_control import TOKEN, WEAK, FakeControl, made


def test_terms_of_a_token_reach_the_node(place: Path, control: FakeControl) -> None:
    wanted = TokenRequest(3600.0, 1, ["db"], "db-server")

    with Client(place) as client:
        assert TokenCalls(client).create_token(wanted).info == made(wanted)

    assert control.asked == [wanted]


def test_terms_of_an_invite_reach_the_node(place: Path, control: FakeControl) -> None:
    wanted = TokenRequest(3600.0, 1)

    with Client(place) as client:
        assert TokenCalls(client).invite(wanted).invite.startswith("pls_")

    assert control.asked == [wanted]


def test_tokens_are_listed_and_the_master_token_shown(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert TokenCalls(client).list_tokens() == [TOKEN]
        assert TokenCalls(client).master_token().token == "m" * 43


def test_a_weak_token_is_refused_in_the_words_of_the_node(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(Refused) as refused:
        TokenCalls(client).create_token(TokenRequest(name="abc"))

    assert str(refused.value) == WEAK


def test_revoking_takes_a_prefix_and_refuses_an_unknown_one(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert TokenCalls(client).revoke_token("abab") == TOKEN
        with pytest.raises(NotFound, match='begins with "ff"'):
            TokenCalls(client).revoke_token("ff")


@pytest.mark.parametrize("prefix", ["", "ff/..", "?", "a b"])
def test_what_is_no_prefix_never_reaches_the_node(place: Path, control: FakeControl, prefix: str) -> None:
    with Client(place) as client, pytest.raises(NotFound, match="pulse token list"):
        TokenCalls(client).revoke_token(prefix)

    assert not control.asked


def test_terms_out_of_bounds_never_reach_the_node(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(ConfigError, match="max_uses"):
        TokenCalls(client).create_token(TokenRequest(max_uses=-1))

    assert not control.asked
