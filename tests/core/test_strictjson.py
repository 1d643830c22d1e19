"""JSON in which a name is there twice."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core import strictjson
from pulse.errors import ConfigError

TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(TEXTS)
def test_what_says_each_name_once_is_read_as_by_anybody(value: object) -> None:
    text = json.dumps(value).encode()

    strictjson.check(text)
    assert strictjson.decode(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b'{"max_uses": 1, "max_uses": 0}',
        b'{"max_uses": 1, "max\\u005fuses": 0}',
        b'[{"rules": [{"to": "a", "from": "b", "to": "c"}]}]',
        b'{"a": {"b": 1}, "b": 2, "a": null}',
    ],
)
def test_a_name_that_is_there_twice_is_named(text: bytes) -> None:
    for read in (strictjson.check, strictjson.decode):
        with pytest.raises(ConfigError, match=r'^"(max_uses|to|a)" is there twice'):
            read(text)


def test_its_name_moves_no_terminal_and_is_cut() -> None:
    name = json.dumps("\x1b[2J" + "x" * 1000)

    with pytest.raises(ConfigError) as raised:
        strictjson.check(f"{{{name}: 1, {name}: 2}}".encode())
    assert str(raised.value).startswith('"\N{REPLACEMENT CHARACTER}[2Jxxx')
    assert len(str(raised.value)) < 200


def test_numbers_of_any_length_are_only_looked_at() -> None:
    strictjson.check(b"[" + b"9" * 100_000 + b', 1e999999, {"a": -0}]')
