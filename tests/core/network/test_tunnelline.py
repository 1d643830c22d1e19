"""The lines at the start of a tunnel: what is asked, and what is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.network import tunnelline
from pulse.core.network.destinations import Destination
from pulse.core.network.streamcodes import StreamCode, failed
from pulse.core.network.tunnelline import Answered, Asked, Called
from pulse.errors import ConfigError, LinkError, NotFound, PulseError, StreamFailed


def test_a_line_names_node_and_destination_and_may_say_more() -> None:
    assert tunnelline.read(tunnelline.EXAMPLE.encode()) == Asked("db", "localhost:5432")
    line = b'{"dest_node": "db", "dest_addr": "localhost:5432", "token": "t", "later": [1]}'
    assert tunnelline.read(line) == Asked("db", "localhost:5432", "t")
    assert "'t'" not in repr(tunnelline.read(line))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET / HTTP/1.1",
        b"[]",
        b'{"dest_node": "db"}',
        b'{"dest_node": 1, "dest_addr": "x:1"}',
        b'{"dest_node": "db", "dest_addr": "x:1", "confirm": 1}',
        b'{"dest_node": "db", "dest_addr": "' + b"x" * 301 + b'"}',
        b"[" * 4000,
        b"\xff\xfe",
    ],
)
def test_anything_else_is_refused_with_an_example(line: bytes) -> None:
    with pytest.raises(ConfigError, match="dest_node"):
        tunnelline.read(line)


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        tunnelline.read(b'{"dest_node": "a", "dest_node": "b", "dest_addr": "x:1"}')


@given(st.binary(max_size=200))
def test_no_bytes_break_it(line: bytes) -> None:
    try:
        assert isinstance(tunnelline.read(line), Asked)
    except ConfigError:
        return


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (failed(StreamCode.REFUSED, "me", "db", Destination("x", 1)), "refused"),
        (NotFound('no node is called "x"'), "no_node"),
        (ConfigError("no destination"), "bad_request"),
        (PulseError("odd"), "failed"),
    ],
)
def test_a_refusal_arrives_with_its_words_its_code_and_the_end_of_a_command(error: PulseError, code: str) -> None:
    line = tunnelline.refusal(error)
    assert line.endswith(b"\n")
    with pytest.raises(type(error) if code in ("no_node", "bad_request") else StreamFailed) as raised:
        tunnelline.read_answer(line)
    word = raised.value.word if isinstance(raised.value, StreamFailed) else code
    assert (str(raised.value), word, raised.value.exit_code) == (str(error), code, error.exit_code)


def test_who_made_a_connection_is_read_and_what_is_no_such_line_is_an_error() -> None:
    assert tunnelline.read_call(tunnelline.line_of(Called("ab", "laptop"))) == Called("ab", "laptop")
    with pytest.raises(LinkError, match="another version"):
        tunnelline.read_call(b"{}")


def test_answers_are_read_and_what_is_none_is_an_error() -> None:
    assert tunnelline.read_answer(b'{"ok":true}\n').ok
    assert tunnelline.line_of(Answered(sent=3, received=4)) == b'{"sent":3,"received":4}\n'
    with pytest.raises(StreamFailed, match="pulse logs"):
        tunnelline.read_answer(b"")
