"""Keys to the API: what opens, what does not, and that what is kept is no key."""

import pytest

from pulse.core.trust.apikeys import PREFIX, ApiKey, Scope, digest, find, is_key_name, key_from

TEXT = key_from(bytes(range(32)))
KEY = ApiKey(digest(TEXT), "grafana", Scope.READ, 1000.0)
OTHER = ApiKey(digest(key_from(bytes(32))), "deploy", Scope.WRITE, 1001.0)


def test_a_key_finds_itself_among_others() -> None:
    assert TEXT.startswith(PREFIX)
    assert len(TEXT) == 47
    assert find([OTHER, KEY], TEXT) is KEY


@pytest.mark.parametrize(
    "text",
    ["", PREFIX, TEXT[:-1], TEXT + "A", TEXT[:-1] + "_", TEXT.removeprefix(PREFIX), TEXT.upper(), f" {TEXT}", "é"],
)
def test_what_is_not_the_whole_key_finds_nothing(text: str) -> None:
    assert find([OTHER, KEY], text) is None


def test_what_is_kept_opens_nothing() -> None:
    assert find([KEY], KEY.sha256.hex()) is None
    assert find([KEY], PREFIX + KEY.key_id) is None
    assert TEXT not in repr(KEY)


def test_who_may_write_may_read_and_not_the_other_way_round() -> None:
    assert Scope.WRITE.covers(Scope.READ)
    assert Scope.WRITE.covers(Scope.WRITE)
    assert Scope.READ.covers(Scope.READ)
    assert not Scope.READ.covers(Scope.WRITE)


@pytest.mark.parametrize("text", ["grafana", "a", "CI.deploy-2_b", "9" * 63])
def test_names_of_programs_are_names(text: str) -> None:
    assert is_key_name(text)


@pytest.mark.parametrize("text", ["", "-x", "a b", "a/b", "a\x1b[2J", "é", "9" * 64, "a\n"])
def test_what_could_harm_a_terminal_or_a_path_is_no_name(text: str) -> None:
    assert not is_key_name(text)


def test_a_key_is_made_of_all_its_randomness() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        key_from(b"short")
