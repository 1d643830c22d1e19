"""Edits travel as bytes: what comes back is what was said, and what nobody can mean is refused."""

import pytest

from pulse.core.messages import Wire, pack
from pulse.core.network.edits import EDITS_LIMIT, Edits, read_edits
from pulse.core.network.naming import NodeNamed, NodeTagged, NodeUntagged
from pulse.errors import ProtocolError

RELAY = bytes(range(32))


class Later(Wire, frozen=True, tag=250):
    """An edit of a later release."""

    node: bytes


class Said(Wire, frozen=True):
    """Edits with anything in them."""

    edits: list[Wire]


def test_they_come_back_as_they_were_said() -> None:
    said = Edits([NodeNamed(RELAY, "relay-01"), NodeTagged(RELAY, "infra"), NodeUntagged(RELAY, "x")], (1, 7), True)
    assert read_edits(pack(said)) == said


def test_their_bytes_stay_what_they_are() -> None:
    said = Edits([NodeNamed(b"n" * 32, "relay-01"), NodeTagged(b"n" * 32, "infra")])
    node = "c420" + "6e" * 32
    named, tagged = "93" + "01" + node + "a872656c61792d3031", "93" + "02" + node + "a5696e667261"
    assert pack(said).hex() == "94" + "92" + named + tagged + "c0" + "c2" + "c0"


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", pack(Said([Later(RELAY)])), pack(Said([NodeNamed(b"short", "x")])), pack(Edits([]))[:-1]],
    ids=["nothing", "nonsense", "a later release's", "no node", "cut"],
)
def test_what_cannot_be_read_is_a_broken_protocol(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="undecodable edits"):
        read_edits(data)


def test_there_are_so_many_together_and_no_more() -> None:
    with pytest.raises(ProtocolError, match="edits"):
        read_edits(pack(Edits([NodeTagged(RELAY, "x")] * (EDITS_LIMIT + 1))))
