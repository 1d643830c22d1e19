"""What is heard of zone records is strict."""

import msgspec
import pytest

from pulse.schemas.dns import RecordRef, RecordRequest


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"a","type":"A"}',
        b'{"name":"a","type":"A","value":"x","ttl":0}',
        b'{"name":"a","type":"A","value":"x","ttl":604801}',
        b'{"name":"a","type":"A","value":"x","tll":60}',
        b'{"name":"a","type":"' + b"A" * 17 + b'","value":"x"}',
    ],
)
def test_what_is_no_record_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=RecordRequest)


def test_a_value_is_said_only_where_one_of_several_is_meant() -> None:
    assert msgspec.json.decode(b'{"name":"a","type":"A"}', type=RecordRef) == RecordRef("a", "A", "")
