"""Schemas of paths: what a question may be, and that an answer of a later release is read."""

import msgspec
import pytest

from pulse.schemas.paths import TraceHop, TraceRequest, WhyPlace, WhyRequest


@pytest.mark.parametrize("kind", [TraceRequest, WhyRequest])
@pytest.mark.parametrize("timeout", [0, 10.1, -1])
def test_each_hop_or_end_is_waited_for_ten_seconds_at_most(kind: type, timeout: float) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.timeout"):
        msgspec.convert({"node": "laptop", "timeout": timeout}, kind)


@pytest.mark.parametrize("kind", [TraceRequest, WhyRequest])
def test_a_question_with_an_unknown_field_is_an_error(kind: type) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"node": "laptop", "color": "red"}, kind)


@pytest.mark.parametrize(
    "said", [TraceHop("1", "a", "10.100.0.1", "quic", None, 0.0, None), WhyPlace("192.0.2.1:443", 1, 0, 0, "")]
)
def test_an_answer_of_a_later_release_says_more_and_is_read(said: msgspec.Struct) -> None:
    assert msgspec.convert(msgspec.structs.asdict(said) | {"later": 1}, type(said)) == said
