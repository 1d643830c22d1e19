"""Records that contradict each other, and nodes that are to be known no more."""

from random import Random

import pytest

from pulse.core.messages import NodeRecords
from pulse.core.paths.gossip import Gossip
from pulse.core.paths.news import OwnRecordSeen, RecordAccepted, RecordForgotten
from pulse.core.types import LinkId
from tests.authority import NOW
from tests.core.paths.crowd import Crowd, line
from tests.core.paths.records import CA, cert, other_bytes, record

# Clones


def test_of_two_records_under_one_number_everybody_keeps_the_lower_hash() -> None:
    lower, higher = other_bytes(1, 2)
    for first in (lower, higher):
        crowd = line(range(2, 5))
        crowd.tell(2, first)
        crowd.tell(4, lower if first is higher else higher)
        crowd.run(2.0)
        assert crowd.holders(lower) == 3
        assert any("two records under one number" in crowd.events(place) for place in (2, 3, 4))


def test_a_clash_nobody_passed_on_is_found_by_comparing() -> None:
    lower, higher = other_bytes(1, 2)
    crowd = Crowd([2, 3])
    crowd.tell(2, lower)
    crowd.tell(3, higher)
    assert not crowd.agree()
    crowd.link(2, 3)
    crowd.run(1.0)
    assert crowd.holders(lower) == 2


def test_a_clash_is_told_once_a_minute_and_not_with_each_record() -> None:
    crowd = line([1, 2])
    for seq in range(2, 12):
        crowd.tell(2, *other_bytes(1, seq))
    assert crowd.events(2).count("two records under one number") == 1


@pytest.mark.parametrize(("boot", "seq", "same"), [(1, 5, False), (2, 0, False), (1, 1, True)])
def test_a_record_of_our_own_key_is_told_and_never_held(boot: int, seq: int, same: bool) -> None:
    crowd = line([1, 2])
    told = crowd.tell(1, record(1, seq, boot, flags=1))
    assert OwnRecordSeen(boot, seq, same) in told
    assert crowd.members[1].gossip.record(cert(1).node_id) == record(1)


def test_what_we_said_before_is_no_alarm() -> None:
    crowd = line([1, 2])
    made = crowd.announce(1)
    crowd.tell(1, made, record(1))
    crowd.run(1.0)
    assert not [each for each in crowd.members[1].news if isinstance(each, OwnRecordSeen)]


def test_a_node_that_lost_its_count_is_shown_what_it_said() -> None:
    crowd = line(range(1, 4))
    crowd.announce(3)
    crowd.run(1.0)
    crowd.cut(2, 3)
    again = Crowd([3]).members[3]
    crowd.members[3] = again
    crowd.take(again, again.gossip.record_made(record(3, 1), crowd.now))
    crowd.link(2, 3)
    crowd.run(1.0)
    assert OwnRecordSeen(1, 2, same_numbers=False) in again.news


# Two nodes under one address


def test_of_two_nodes_under_one_address_the_one_certified_earlier_keeps_it() -> None:
    late = CA.certificate("late", addresses=cert(1).addresses, not_before=NOW - 5)
    early, usurper = record(1), record(1, 9, certificate=late, signer="late")
    for order in ((early, usurper), (usurper, early)):
        gossip = Gossip(CA.network, cert(2), lambda: [CA.authority], Random(1))
        for each in (cert(1), late):
            gossip.certificate_seen(each, 0.0)
        gossip.link_opened(LinkId(1), cert(3).node_id, 0.0)
        told = [each for shown in order for each in gossip.message_received(LinkId(1), NodeRecords([shown.data]), 0.0)]
        assert gossip.records() == [early]
        assert any(getattr(each, "event", "") == "two nodes under one address" for each in told)
        assert (RecordForgotten(late.node_id) in told) == (order[0] is usurper)


# Nodes that go


def test_a_revoked_node_is_forgotten_and_not_taken_back() -> None:
    crowd = line(range(1, 4))
    member = crowd.members[3]
    gone = cert(1).node_id
    assert member.gossip.revocations_changed(frozenset({gone})) == [RecordForgotten(gone)]
    crowd.announce(1)
    crowd.run(130.0)
    assert member.gossip.record(gone) is None
    assert member.gossip.certificate(gone) is None
    assert member.gossip.counts.refused > 0
    assert member.closed == {}


def test_a_revocation_that_counts_no_more_lets_the_node_back() -> None:
    crowd = line(range(1, 4))
    member = crowd.members[3]
    crowd.take(member, member.gossip.revocations_changed(frozenset({cert(1).node_id})))
    crowd.take(member, member.gossip.revocations_changed(frozenset()))
    made = crowd.announce(1)
    crowd.run(1.0)
    assert crowd.holders(made) == 3


def test_a_record_goes_when_its_certificate_ends() -> None:
    crowd = line(range(1, 3))
    ends = cert(1).not_after
    assert crowd.members[2].gossip.clock_read(ends - 1) == []
    assert crowd.members[2].gossip.clock_read(ends + 1) == [RecordForgotten(cert(1).node_id)]
    assert crowd.members[2].gossip.clock_read(NOW, floor=ends + 1) == []
    assert crowd.members[2].gossip.certificate(cert(1).node_id) is None
    assert crowd.members[2].gossip.certificate(cert(2).node_id) == cert(2)


def test_a_certificate_that_ended_is_not_taken() -> None:
    crowd = Crowd([2, 3])
    crowd.members[2].gossip.clock_read(cert(1).not_after + 1)
    told = crowd.members[2].gossip.certificates_received(crowd.link(2, 3)[0], [cert(1).der], crowd.now)
    assert [getattr(each, "event", each) for each in told] == ["certificate refused"]


def test_with_no_room_left_who_was_gone_longest_makes_it() -> None:
    crowd = Crowd([1], most=4)
    gossip = crowd.members[1].gossip
    crowd.announce(1)
    gossip.link_opened(LinkId(1), cert(2).node_id, 0.0)

    def shown(place: int) -> list[object]:
        certified = gossip.certificates_received(LinkId(1), [cert(place).der], 0.0)
        return [*certified, *gossip.message_received(LinkId(1), NodeRecords([record(place).data]), 0.0)]

    for place in (2, 3, 4):
        shown(place)
    assert RecordAccepted(record(5)) not in shown(5)
    for place in (3, 2, 4):
        gossip.node_expired(cert(place).node_id)
    gossip.node_returned(cert(3).node_id)
    gossip.clock_read(NOW)
    assert gossip.certificate_seen(cert(5), 0.0) == []
    told = shown(5)
    assert told[-2:] == [RecordForgotten(cert(2).node_id), RecordAccepted(record(5))]
    assert {each.node for each in gossip.records()} == {cert(place).node_id for place in (1, 3, 4, 5)}
