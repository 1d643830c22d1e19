"""Headers of streams, and what refusals of them come to."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import pack
from pulse.core.network import streamcodes
from pulse.core.network.destinations import Destination
from pulse.core.network.streamcodes import StreamCode, StreamHeader, StreamKind
from pulse.errors import LinkError, NotFound, ProtocolError, Refused

SSH = Destination("localhost", 22)


def test_a_header_says_what_a_stream_is_for_and_where_it_leads() -> None:
    read = streamcodes.read_header(streamcodes.header(StreamKind.SOCKS, SSH))
    assert (streamcodes.kind_of(read), read.destination) == (StreamKind.SOCKS, SSH)


def test_the_bytes_of_a_header_stay_what_they_are_and_later_fields_are_left_out() -> None:
    assert streamcodes.header(StreamKind.CONNECT, SSH).hex() == "9301a96c6f63616c686f737416"
    assert streamcodes.read_header(bytes.fromhex("9401a96c6f63616c686f737416c3")) == StreamHeader(1, "localhost", 22)


@given(st.binary(max_size=64))
def test_any_other_bytes_are_an_error_of_the_peer(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert streamcodes.read_header(data).port > 0


@pytest.mark.parametrize(
    "header",
    [StreamHeader(1, "x" * 256, 1), StreamHeader(1, "x", 0), StreamHeader(1, "x", 70000), StreamHeader(256, "x", 1)],
)
def test_bounds_of_a_header_hold(header: StreamHeader) -> None:
    with pytest.raises(ProtocolError, match="stream header"):
        streamcodes.read_header(pack(header))


def test_a_kind_of_a_later_release_is_refused() -> None:
    with pytest.raises(ProtocolError, match="99"):
        streamcodes.kind_of(StreamHeader(99, "x", 1))


def test_a_code_of_a_later_release_is_a_broken_stream() -> None:
    assert streamcodes.code_of(7) is StreamCode.REFUSED
    assert streamcodes.code_of(200) is streamcodes.code_of(4_000_000_000) is StreamCode.BROKEN


@pytest.mark.parametrize("code", [each for each in StreamCode if each is not StreamCode.OK])
def test_every_refusal_is_a_sentence_that_names_the_node_or_the_destination(code: StreamCode) -> None:
    error = streamcodes.failed(code, "me", "db (0123456789ab)", SSH)
    assert "db" in str(error) or "localhost:22" in str(error)
    assert "{" not in str(error)
    assert (error.code, error.word) == (code, code.name.lower())


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (StreamCode.NOT_ALLOWED, Refused.exit_code),
        (StreamCode.FORBIDDEN, Refused.exit_code),
        (StreamCode.NO_NAME, NotFound.exit_code),
        (StreamCode.REFUSED, LinkError.exit_code),
        (StreamCode.AWAY, LinkError.exit_code),
    ],
)
def test_a_command_ends_with_the_code_of_what_went_wrong(code: StreamCode, exit_code: int) -> None:
    assert streamcodes.failed(code, "me", "db", SSH).exit_code == exit_code
