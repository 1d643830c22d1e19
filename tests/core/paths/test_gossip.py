"""Node records reach everybody, once, and everybody ends with the same, whatever the order and the mishaps."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.core.effects import SendMessage
from pulse.core.messages import Digest, Have, NodeRecords, Prune, Want, decode
from pulse.core.paths.gossip import Gossip
from pulse.core.paths.news import CertificateAccepted, RecordAccepted
from pulse.core.types import LinkId
from tests.authority import NOW
from tests.core.paths.crowd import Crowd, graph, is_eager, line, nobody
from tests.core.paths.records import CA, cert, other_bytes, record

# It spreads


def test_two_nodes_learn_of_each_other() -> None:
    crowd = line([1, 2])
    assert crowd.agree()
    assert [type(each) for each in crowd.members[1].news] == [RecordAccepted]
    assert crowd.members[2].gossip.record(cert(1).node_id) == record(1)
    assert len(crowd.members[2].gossip.records()) == 2


def test_records_and_certificates_go_past_neighbours() -> None:
    crowd = line(range(1, 6))
    assert crowd.agree()
    told = crowd.members[5].news
    assert CertificateAccepted(cert(1)) in told
    assert told.index(CertificateAccepted(cert(1))) < told.index(RecordAccepted(record(1)))
    assert crowd.members[5].gossip.certificate(cert(1).node_id) == cert(1)
    assert crowd.members[5].gossip.certificate(cert(9).node_id) is None


def test_a_new_version_is_passed_on_at_once() -> None:
    crowd = line(range(1, 6))
    made = crowd.announce(1)
    crowd.run(4 * 0.03 + 0.001)
    assert crowd.holders(made) == 5


def test_a_certificate_goes_once_and_not_with_each_version() -> None:
    crowd = line(range(1, 4))
    crowd.sent.clear()
    for _ in range(4):
        crowd.announce(1)
        crowd.run(1.0)
    assert crowd.sent["Objects"] == 0
    assert crowd.agree()


def test_a_certificate_others_had_too_when_we_started_is_not_sent_around() -> None:
    crowd = Crowd(range(1, 5))
    for member in crowd.members.values():
        for place in crowd.members:
            assert member.gossip.certificate_restored(cert(place)) == []
    for one, other in ((1, 2), (2, 3), (3, 4)):
        crowd.link(one, other)
    crowd.announce(1)
    crowd.run(1.0)
    assert crowd.holders(record(1)) == 4
    assert crowd.sent["Objects"] == 0


def test_a_renewed_certificate_goes_with_the_record_that_names_it() -> None:
    crowd = line(range(1, 5))
    renewed = CA.certificate("machine 1", addresses=cert(1).addresses, not_before=NOW - 10)
    one = crowd.members[1].gossip
    crowd.take(crowd.members[1], one.certificate_seen(renewed, crowd.now))
    made = record(1, 2, certificate=renewed)
    crowd.take(crowd.members[1], one.record_made(made, crowd.now))
    crowd.run(0.3)
    assert crowd.holders(made) == 4
    assert crowd.members[4].gossip.certificate(cert(1).node_id) == renewed


def test_once_the_tree_has_grown_each_record_crosses_each_node_about_once() -> None:
    crowd = graph(30, 6, 1)
    for place in crowd.members:
        crowd.announce(place)
        crowd.run(0.5)
    crowd.crossings.clear()
    for place in crowd.members:
        crowd.announce(place)
        crowd.run(0.5)
    crowd.run(2.0)
    assert crowd.agree()
    assert max(crowd.crossings.values()) <= 33
    assert sum(crowd.crossings.values()) <= 30 * 29 * 1.05
    eager = sum(is_eager(crowd.members[me].gossip, end) for end, (me, _, _) in crowd.ends.items())
    assert eager <= 2 * 29 * 1.1


def test_a_broken_branch_is_healed_by_those_who_only_heard_the_name() -> None:
    crowd = graph(20, 6, 4)
    for place in crowd.members:
        crowd.announce(place)
        crowd.run(0.5)
    tree = [(me, them) for end, (me, them, _) in crowd.ends.items() if is_eager(crowd.members[me].gossip, end)]
    assert tree
    for one, other in [edge for edge in tree if edge[0] < edge[1]][:5]:
        others = [each for _, (me, each, _) in crowd.ends.items() if me in (one, other)]
        if len(others) > 4:
            crowd.cut(one, other)
    made = [crowd.announce(place) for place in crowd.members]
    crowd.run(2.0)
    assert [crowd.holders(each) for each in made] == [20] * 20


def test_a_link_that_swallows_records_is_gone_round() -> None:
    crowd = Crowd(range(1, 4))
    for place in crowd.members:
        crowd.announce(place)
    for one, other, delay in ((1, 2, 0.001), (2, 3, 0.001), (1, 3, 0.05)):
        crowd.link(one, other, delay)
    crowd.run(2.0)
    for _ in range(3):
        crowd.announce(1)
        crowd.run(1.0)
    crowd.drop = lambda sender, receiver: (sender, receiver) == (2, 3)
    made = crowd.announce(1)
    crowd.run(1.0)
    assert crowd.holders(made) == 3


def test_halves_that_parted_agree_soon_after_they_meet() -> None:
    crowd = graph(20, 5, 5, parts=2)
    for place in crowd.members:
        crowd.announce(place)
    crowd.run(2.0)
    assert not crowd.agree()
    crowd.link(1, 20)
    crowd.run(3.0)
    assert crowd.agree()


def test_what_was_lost_on_the_way_is_found_by_comparing() -> None:
    crowd = line(range(1, 4))
    crowd.drop = lambda sender, receiver: (sender, receiver) == (2, 3)
    made = crowd.announce(1)
    crowd.run(1.0)
    crowd.drop = nobody
    crowd.run(1.0)
    assert crowd.holders(made) == 2
    crowd.run(130.0)
    assert crowd.holders(made) == 3


def test_a_node_in_a_mesh_at_rest_says_little() -> None:
    crowd = graph(20, 6, 6)
    crowd.run(60.0)
    crowd.bytes.clear()
    crowd.run(600.0)
    assert crowd.agree()
    assert max(crowd.bytes.values()) / 600 < 2 * 2100 / 60


def test_nothing_wakes_a_node_without_links() -> None:
    crowd = line([1, 2])
    crowd.cut(1, 2)
    crowd.run(61.0)
    assert crowd.members[1].gossip.deadline() is None
    assert crowd.members[1].gossip.tick(crowd.now + 1000) == []


def test_a_newcomer_takes_many_records_from_several_neighbours_within_their_pace() -> None:
    crowd = Crowd(range(1, 6))
    for place in range(1, 6):
        crowd.announce(place)
    for one, other in ((1, 2), (2, 3), (3, 4)):
        crowd.link(one, other)
    for start in range(10, 210, 100):
        crowd.tell(1, *map(record, range(start, start + 100)))
        crowd.run(10.0)
    assert [len(crowd.members[place].gossip.records()) for place in (1, 2, 3, 4)] == [204] * 4
    for near in (2, 3, 4):
        crowd.link(5, near)
    crowd.crossings.clear()
    crowd.run(6.0)
    assert len(crowd.members[5].gossip.records()) == 205
    assert crowd.crossings[5] <= 204 * 1.2
    assert crowd.agree()
    assert [member.closed for member in crowd.members.values()] == [{}] * 5
    assert sum(member.gossip.counts.throttled for member in crowd.members.values()) == 0


# An origin that says too much


def test_of_a_node_that_makes_too_many_versions_the_newest_is_passed_on_once_a_second() -> None:
    crowd = line(range(1, 4))
    crowd.run(10.0)
    crowd.crossings.clear()
    for _ in range(40):
        made = crowd.announce(1)
        crowd.run(0.05)
    assert 6 <= crowd.crossings[3] <= 8
    crowd.run(1.5)
    assert crowd.holders(made) == 3
    assert crowd.crossings[3] <= 9


# Any order, any number of times


@settings(max_examples=60)
@given(data=st.data())
def test_records_in_any_order_and_number_end_in_the_same_tables(data: st.DataObject) -> None:
    pool = [record(place, seq) for place in (2, 3) for seq in (1, 2)] + [*other_bytes(4, 7), record(4, 6)]
    summaries = set()
    for _ in range(2):
        gossip = Gossip(CA.network, cert(1), lambda: [CA.authority], Random(1))
        gossip.link_opened(LinkId(1), cert(9).node_id, 0.0)
        order = data.draw(st.permutations(pool)) + data.draw(st.lists(st.sampled_from(pool), max_size=6))
        late = data.draw(st.integers(0, len(order)))
        for number, shown in enumerate(order):
            if number == late:
                gossip.certificates_received(LinkId(1), [cert(place).der for place in (4, 2, 3)], 0.0)
            gossip.message_received(LinkId(1), NodeRecords([shown.data]), 0.0)
        gossip.certificates_received(LinkId(1), [cert(place).der for place in (2, 3, 4)], 0.0)
        summaries.add(gossip.summary())
    newest = Gossip(CA.network, cert(1), lambda: [CA.authority], Random(1))
    newest.link_opened(LinkId(1), cert(9).node_id, 0.0)
    newest.certificates_received(LinkId(1), [cert(place).der for place in (2, 3, 4)], 0.0)
    best = [record(2, 2), record(3, 2), other_bytes(4, 7)[0]]
    newest.message_received(LinkId(1), NodeRecords([each.data for each in best]), 0.0)
    assert summaries == {newest.summary()}


def test_a_digest_names_only_the_buckets_that_differ() -> None:
    gossip = Gossip(CA.network, cert(1), lambda: [CA.authority], Random(1))
    gossip.record_made(record(1), 0.0)
    gossip.link_opened(LinkId(1), cert(2).node_id, 0.0)
    same = gossip.message_received(LinkId(1), Digest(gossip.summary()), 0.0)
    assert same == []
    (other,) = gossip.message_received(LinkId(1), Digest(bytes(2048)), 0.0)
    assert isinstance(other, SendMessage)
    assert decode(other.payload) == Have(record(1).id12, bytes([int(cert(1).node_id[:2], 16)]))


def test_what_is_asked_for_is_sent_with_a_newer_version_in_place_of_an_older() -> None:
    gossip = Gossip(CA.network, cert(1), lambda: [CA.authority], Random(1))
    gossip.link_opened(LinkId(1), cert(2).node_id, 0.0)
    gossip.record_made(record(1), 0.0)
    gossip.record_made(record(1, 2), 0.0)
    (sent,) = gossip.message_received(LinkId(1), Want(record(1).id12 + record(5).id12), 1.0)
    assert isinstance(sent, SendMessage)
    assert decode(sent.payload) == NodeRecords([record(1, 2).data])


def test_who_named_a_record_first_spares_its_neighbour_the_name() -> None:
    gossip = Gossip(CA.network, cert(1), lambda: [CA.authority], Random(1))
    for link, place in ((1, 2), (2, 3)):
        gossip.link_opened(LinkId(link), cert(place).node_id, 0.0)
        gossip.message_received(LinkId(link), Prune(), 0.0)
    gossip.record_made(record(1), 1.0)
    gossip.message_received(LinkId(1), Have(record(1).id12), 1.01)
    due = gossip.deadline()
    assert due is not None
    named = [(each.link, decode(each.payload)) for each in gossip.tick(due) if isinstance(each, SendMessage)]
    assert named == [(LinkId(2), Have(record(1).id12))]
