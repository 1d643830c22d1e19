"""What goes out to one neighbour goes in order, in time, and only in its newest version."""

from pulse.core.effects import Effect, SendMessage
from pulse.core.messages import Item, Leaving, Message, NodeRecords, ObjectKind, Objects, Unknown, decode
from pulse.core.paths.budget import OUTGOING
from pulse.core.paths.noderecord import NodeRecord, certificate_hash
from pulse.core.paths.outbox import BATCH, BREATH, Outbox, Shelf
from pulse.core.types import LinkId, NodeId
from tests.core.paths.records import cert, record

LINK = LinkId(5)
RECORDS: dict[NodeId, NodeRecord] = {}
CERTIFICATES = {certificate_hash(cert(place)): cert(place) for place in range(1, 200)}


def outbox() -> Outbox:
    RECORDS.clear()
    return Outbox(LINK, Shelf(RECORDS.get, CERTIFICATES.get), 0.0)


def held(*records: NodeRecord) -> None:
    RECORDS.update({each.node: each for each in records})


def sent(effects: list[Effect]) -> list[Message | Unknown]:
    messages = []
    for each in effects:
        assert isinstance(each, SendMessage)
        assert each.link == LINK
        messages.append(decode(each.payload))
    return messages


def test_certificates_go_first_then_what_is_fresh_then_the_backlog() -> None:
    box = outbox()
    held(record(1), record(2))
    box.add_backlog(cert(1).node_id)
    box.add_fresh(cert(2).node_id)
    box.add_certificate(certificate_hash(cert(2)))
    assert sent(box.flush(0.0)) == [
        Objects([Item(ObjectKind.CERTIFICATE, cert(2).der)]),
        NodeRecords([record(2).data, record(1).data]),
    ]
    assert box.deadline() is None
    assert box.flush(1.0) == []


def test_what_waits_twice_goes_once_and_in_its_newest_version() -> None:
    box = outbox()
    held(record(1), record(2))
    for place in (1, 2):
        box.add_backlog(cert(place).node_id)
    box.add_fresh(cert(1).node_id)
    box.add_backlog(cert(1).node_id)
    held(record(1, 2))
    assert sent(box.flush(0.0)) == [NodeRecords([record(1, 2).data, record(2).data])]


def test_what_the_neighbour_has_by_now_goes_no_more() -> None:
    box = outbox()
    held(record(1), record(2), record(3))
    box.add_fresh(cert(1).node_id)
    box.add_backlog(cert(2).node_id)
    box.add_backlog(cert(3).node_id)
    for place in (1, 2, 9):
        box.drop(cert(place).node_id)
    assert sent(box.flush(0.0)) == [NodeRecords([record(3).data])]


def test_what_is_held_no_more_is_left_out() -> None:
    box = outbox()
    box.add_fresh(cert(1).node_id)
    box.add_certificate(bytes(32))
    assert box.flush(0.0) == []
    assert box.deadline() is None


def test_much_goes_in_several_messages_at_the_pace() -> None:
    box = outbox()
    held(*(record(place) for place in range(1, 200)))
    for place in range(1, 200):
        box.add_backlog(cert(place).node_id)
    first = sent(box.flush(0.0))
    assert len(first) > 1
    sizes = [sum(map(len, each.records)) for each in first if isinstance(each, NodeRecords)]
    assert max(sizes) <= BATCH
    gone = sum(len(each.records) for each in first if isinstance(each, NodeRecords))
    assert gone == OUTGOING.records
    now = box.deadline()
    assert now == BREATH
    assert box.flush(BREATH / 2) == []
    (more,) = sent(box.flush(now))
    assert isinstance(more, NodeRecords)
    assert len(more.records) == 15


def test_certificates_keep_the_pace_too() -> None:
    box = outbox()
    for wanted in CERTIFICATES:
        box.add_certificate(wanted)
    held(record(1))
    box.add_fresh(cert(1).node_id)
    assert not [each for each in sent(box.flush(0.0)) if isinstance(each, NodeRecords)]
    assert sum(isinstance(each, NodeRecords) for at in range(1, 40) for each in sent(box.flush(at / 10))) == 1


def test_what_does_not_wait_makes_the_rest_wait() -> None:
    box = outbox()
    held(record(1))
    for _ in range(1000):
        said = box.say(Leaving("x" * 64), 0.0)
    assert decode(said.payload) == Leaving("x" * 64)
    box.add_fresh(cert(1).node_id)
    assert box.flush(0.0) == []
    due = box.deadline()
    assert due is not None
    assert due > BREATH
    assert sent(box.flush(due)) == [NodeRecords([record(1).data])]
