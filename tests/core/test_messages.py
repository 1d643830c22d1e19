"""The codec of messages: what goes out comes back, and no bytes raise anything but ProtocolError."""

import json
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core import messages
from pulse.core.messages import (
    MESSAGE_LIMIT,
    RPC_LIMIT,
    Hello,
    Item,
    Leaving,
    Message,
    ObjectKind,
    Objects,
    Observed,
    Unknown,
    batches,
    decode,
    decode_answer,
    decode_call,
    encode,
    encode_call,
    encode_failure,
    encode_result,
    printable,
)
from pulse.errors import LinkError, NotFound, ProtocolError, PulseError, Refused

VECTORS = Path(__file__).parents[1] / "vectors" / "messages.json"

HELLO = Hello(1, bytes(range(16)), 0x01020304, 5, 1_790_000_000.25, bytes(range(32)), 3)
EXAMPLES: dict[str, Message] = {
    "hello": HELLO,
    "observed": Observed("203.0.113.7", 41641),
    "objects": Objects([Item(ObjectKind.ROLES, b"\x02\x01signed"), Item(ObjectKind.CERTIFICATE, b"0\x03der")]),
    "leaving": Leaving("stopped"),
}

u32 = st.integers(0, 2**32 - 1)
hellos = st.builds(
    Hello,
    version=st.integers(0, 255),
    boot=st.binary(min_size=16, max_size=16),
    index=u32,
    replaces=u32,
    clock=st.floats(0, messages.LATEST),
    revocations=st.binary(min_size=32, max_size=32),
    features=st.integers(0, 2**64 - 1),
)
items = st.builds(Item, kind=st.integers(0, 255), data=st.binary(min_size=1, max_size=200))
any_message = st.one_of(
    hellos,
    st.builds(Observed, host=st.text(max_size=64), port=st.integers(0, 65535)),
    st.builds(Objects, items=st.lists(items, max_size=8)),
    st.builds(Leaving, reason=st.text(max_size=64)),
)


@given(any_message)
def test_a_message_comes_back_as_it_went(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=300))
def test_random_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    for read in (decode, decode_call):
        with suppress(ProtocolError):
            read(data)
    with suppress(PulseError):
        decode_answer(data)


@given(any_message, st.data())
def test_a_damaged_message_is_a_message_or_a_protocol_error(message: Message, data: st.DataObject) -> None:
    raw = bytearray(encode(message))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(ProtocolError):
        decode(bytes(raw))


@pytest.mark.parametrize("name", EXAMPLES)
def test_vectors_pin_the_bytes(name: str) -> None:
    vector = json.loads(VECTORS.read_text())[name]
    assert encode(EXAMPLES[name]).hex() == vector
    assert decode(bytes.fromhex(vector)) == EXAMPLES[name]


def test_an_unknown_tag_is_told_apart_from_damage() -> None:
    assert decode(msgspec.msgpack.encode([77, "new", 1])) == Unknown(77)


def test_unknown_trailing_fields_are_ignored() -> None:
    longer = msgspec.msgpack.decode(encode(HELLO))
    assert decode(msgspec.msgpack.encode([*longer, "later", 7])) == HELLO


def test_a_hello_without_features_has_none() -> None:
    shorter = msgspec.msgpack.decode(encode(HELLO))[:-1]
    assert decode(msgspec.msgpack.encode(shorter)) == msgspec.structs.replace(HELLO, features=0)


@pytest.mark.parametrize(
    "fields",
    [
        [1, 256, bytes(16), 0, 0, 0.0, bytes(32), 0],
        [1, 1, bytes(15), 0, 0, 0.0, bytes(32), 0],
        [1, 1, bytes(16), -1, 0, 0.0, bytes(32), 0],
        [1, 1, bytes(16), 2**32, 0, 0.0, bytes(32), 0],
        [1, 1, bytes(16), 0, 0, -1.0, bytes(32), 0],
        [1, 1, bytes(16), 0, 0, float("nan"), bytes(32), 0],
        [1, 1, bytes(16), 0, 0, float("inf"), bytes(32), 0],
        [1, 1, bytes(16), 0, 0, 0.0, bytes(33), 0],
        [2, "a" * 65, 1],
        [2, "a", 65536],
        [6, [[2, b""]]],
        [6, [[2, b"x"]] * 1025],
        [9, "a" * 65],
        [2],
        [],
        {},
        7,
    ],
)
def test_a_value_out_of_bounds_is_refused(fields: object) -> None:
    with pytest.raises(ProtocolError):
        decode(msgspec.msgpack.encode(fields))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode(b"\x92\x02" + b"\x91" * 60_000)


def test_a_message_too_long_is_neither_read_nor_sent() -> None:
    with pytest.raises(ProtocolError, match="65536 are allowed"):
        decode(bytes(MESSAGE_LIMIT + 1))
    with pytest.raises(ProtocolError, match="65536 are allowed"):
        encode(Objects([Item(ObjectKind.CONFIG, bytes(40_000))] * 2))


@given(st.text(max_size=64), st.binary(max_size=100))
def test_a_call_comes_back_as_it_went(method: str, body: bytes) -> None:
    call = decode_call(encode_call(method, body))
    assert (call.method, call.body) == (method, body)


@given(st.binary(max_size=100))
def test_a_result_comes_back_as_it_went(body: bytes) -> None:
    assert decode_answer(encode_result(body)) == body


def test_what_no_request_and_no_answer_can_hold_is_not_encoded() -> None:
    body = bytes(RPC_LIMIT - 16)
    assert decode_call(encode_call("ping", body)).body == decode_answer(encode_result(body)) == body
    with pytest.raises(ProtocolError, match="request of"):
        encode_call("ping", bytes(RPC_LIMIT))
    with pytest.raises(ProtocolError, match="answer of"):
        encode_result(bytes(RPC_LIMIT))


@pytest.mark.parametrize("error", [Refused("no"), NotFound("none"), LinkError("gone"), PulseError("odd")])
def test_an_error_is_raised_on_the_asking_side(error: PulseError) -> None:
    with pytest.raises(type(error), match=str(error)):
        decode_answer(encode_failure(error))


def test_an_error_of_a_later_release_is_still_an_error() -> None:
    class NewKind(PulseError):
        pass

    with pytest.raises(PulseError, match="strange"):
        decode_answer(encode_failure(NewKind("strange")))


def test_an_errors_text_cannot_move_the_terminal_cursor() -> None:
    with pytest.raises(Refused) as caught:
        decode_answer(encode_failure(Refused("\x1b[2Jgone\u202e")))
    assert str(caught.value) == "\ufffd[2Jgone\ufffd"
    assert printable("two\nlines") == "two\nlines"


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_batches_hold_everything_in_its_order_and_no_more_than_allowed(things: list[bytes]) -> None:
    found = list(batches(things, len, 16))

    assert [each for batch in found for each in batch] == things
    assert all(sum(map(len, batch)) <= 16 or len(batch) == 1 for batch in found)
    assert [] not in found
