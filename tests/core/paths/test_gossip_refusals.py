"""What a neighbour may not do with gossip: each attempt is refused, counted, and changes nothing for anybody."""

from collections.abc import Sequence
from random import Random

import msgspec
import pytest

from pulse.core.effects import CloseLink, Log, SendMessage
from pulse.core.messages import Digest, Gossiped, Have, NodeRecords, ObjectKind, Prune, Want, decode
from pulse.core.paths.branch import MOST_HELD
from pulse.core.paths.gossip import Gossip
from pulse.core.paths.news import CertificateAccepted, Outcome, RecordAccepted
from pulse.core.paths.noderecord import NodeRecord, certificate_hash
from pulse.core.paths.wants import MOST_ASKED, MOST_KEYS
from pulse.core.trust.signed import seal
from pulse.core.types import LinkId
from tests.authority import NOW, Ca, key
from tests.core.paths.crowd import is_eager
from tests.core.paths.records import CA, cert, machine, record

GOOD, BAD = LinkId(1), LinkId(2)


class Victim:
    """A node with an honest neighbour and one that is not."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.gossip = Gossip(CA.network, cert(1), lambda: [CA.authority], Random(1))
        self.gossip.clock_read(NOW)
        self.gossip.record_made(record(1), self.now)
        for link, place in ((GOOD, 2), (BAD, 3)):
            self.gossip.certificate_seen(cert(place), self.now)
            self.gossip.link_opened(link, cert(place).node_id, self.now)
        self.hears(GOOD, NodeRecords([record(2).data]))
        self.before = self.gossip.summary()

    def hears(self, link: LinkId, message: Gossiped) -> list[Outcome]:
        return self.gossip.message_received(link, message, self.now)

    def shown(self, *data: bytes) -> list[Outcome]:
        return self.hears(BAD, NodeRecords([*data]))

    def certified(self, *ders: bytes) -> list[Outcome]:
        return self.gossip.certificates_received(BAD, ders, self.now)

    def is_unchanged(self) -> bool:
        return self.gossip.summary() == self.before


@pytest.fixture
def victim() -> Victim:
    return Victim()


def closed(outcomes: Sequence[Outcome]) -> list[tuple[LinkId, str]]:
    return [(each.link, each.reason) for each in outcomes if isinstance(each, CloseLink)]


def sent(outcomes: Sequence[Outcome]) -> list[object]:
    return [decode(each.payload) for each in outcomes if isinstance(each, SendMessage)]


def altered(made: NodeRecord) -> bytes:
    return made.data[:-1] + bytes([made.data[-1] ^ 1])


def forged(place: int, seq: int) -> bytes:
    """A record as it should be, signed by the wrong key."""
    return seal(ObjectKind.RECORD, CA.network, record(place, seq).data[66:], key("evil"))


# Records


@pytest.mark.parametrize(
    "data",
    [
        altered(record(2, 2)),
        forged(2, 2),
        forged(1, 9),
        record(2, 2).data[:-1],
        b"\x06\x01" + bytes(64),
        b"\x02\x01" + record(2, 2).data[2:],
        seal(ObjectKind.RECORD, Ca(network_name="other").network, record(2, 2).data[66:], key(machine(2))),
        seal(ObjectKind.RECORD, CA.network, msgspec.msgpack.encode([certificate_hash(cert(2)), 2**63 - 1]), key("x")),
    ],
)
def test_a_forged_or_broken_record_closes_the_link_that_brought_it(victim: Victim, data: bytes) -> None:
    outcomes = victim.shown(data)
    assert closed(outcomes) == [(BAD, "protocol")]
    (log,) = [each for each in outcomes if isinstance(each, Log)]
    assert (log.event, log.fields["node"]) == ("neighbour broke the protocol", cert(3).node_id[:12])
    assert victim.is_unchanged()
    assert victim.gossip.counts.faults == 1


@pytest.mark.parametrize("exit_range", ["::ffff:102:300/120", "::ffff:1.2.3.0/120", "2001:db8::1%x/128", "10.0.0.1/8"])
def test_what_its_node_signed_and_nobody_can_use_is_the_fault_of_no_neighbour_that_passes_it_on(
    victim: Victim, exit_range: str
) -> None:
    said = [certificate_hash(cert(2)), 9, 9, [], 0, [exit_range], [], b"", "1.0", 0]
    data = seal(ObjectKind.RECORD, CA.network, msgspec.msgpack.encode(said), key(machine(2)))
    outcomes = victim.shown(data)

    assert (closed(outcomes), victim.gossip.counts.refused, victim.is_unchanged()) == ([], 1, True)
    (log,) = [each for each in outcomes if isinstance(each, Log)]
    assert (log.event, log.fields["node"]) == ("record refused", cert(2).node_id[:12])
    assert closed(victim.hears(GOOD, NodeRecords([data]))) == [(GOOD, "protocol")], "its own node"


def test_after_a_fault_nothing_more_is_read_from_that_link(victim: Victim) -> None:
    outcomes = victim.shown(record(3).data, forged(2, 2), record(2, 5).data)
    assert RecordAccepted(record(3)) in outcomes
    before = victim.gossip.summary()
    assert victim.shown(record(2, 6).data) == []
    assert victim.certified(cert(4).der) == []
    assert victim.gossip.summary() == before
    assert victim.gossip.certificate(cert(4).node_id) is None
    assert not closed(victim.hears(GOOD, NodeRecords([record(2, 2).data])))


def test_a_record_with_lower_numbers_is_ignored(victim: Victim) -> None:
    victim.hears(GOOD, NodeRecords([record(2, 5, boot=2).data]))
    before = victim.gossip.summary()
    assert victim.shown(record(2, 4, boot=2).data, record(2, 9, boot=1).data) == []
    assert victim.gossip.summary() == before
    assert victim.gossip.counts.stale == 2


def test_a_record_shown_again_changes_nothing_and_earns_a_prune(victim: Victim) -> None:
    victim.now += 1.0
    assert sent(victim.shown(record(2).data)) == [Prune()]
    assert not is_eager(victim.gossip, BAD)
    assert victim.shown(record(2).data) == []
    victim.now += 2.0
    assert sent(victim.shown(record(2).data)) == [Prune()]
    assert victim.is_unchanged()
    assert victim.gossip.counts.duplicates == 3


def test_a_record_of_a_later_release_is_passed_over(victim: Victim) -> None:
    assert victim.shown(b"\x06\x02" + record(2, 2).data[2:]) == []
    assert victim.is_unchanged()
    assert victim.gossip.counts.refused == 1


def test_a_record_of_a_revoked_node_is_refused_for_good(victim: Victim) -> None:
    victim.gossip.revocations_changed(frozenset({cert(2).node_id}))
    before = victim.gossip.summary()
    (want,) = sent(victim.shown(record(2, 2).data))
    assert want == Want(b"", certificate_hash(cert(2)))
    refusal = victim.certified(cert(2).der)
    assert [getattr(each, "event", each) for each in refusal] == ["certificate refused"]
    assert victim.shown(record(2, 3).data) == []
    assert victim.gossip.summary() == before
    assert victim.gossip.certificate_seen(cert(2), victim.now) == []


# Certificates


@pytest.mark.parametrize(
    "der",
    [
        Ca("evil").leaf(machine(4)),
        Ca(network_name="other").leaf(machine(4)),
        CA.leaf(machine(4), not_after=NOW - 1),
        CA.leaf(machine(4), not_before=NOW + 9999),
    ],
)
def test_a_certificate_nobody_vouches_for_now_is_refused_and_asked_for_no_more(victim: Victim, der: bytes) -> None:
    outcomes = victim.certified(der)
    assert [getattr(each, "event", each) for each in outcomes] == ["certificate refused"]
    assert victim.gossip.certificate(cert(4).node_id) is None
    assert victim.certified(der) == []
    assert victim.gossip.counts.refused == 1


def test_bytes_that_are_no_certificate_close_the_link(victim: Victim) -> None:
    assert closed(victim.certified(b"\x30\x03abc")) == [(BAD, "protocol")]
    assert closed(Victim().certified(bytes(9000))) == [(BAD, "protocol")]


def test_a_record_waits_for_its_certificate_and_is_judged_then(victim: Victim) -> None:
    assert sent(victim.shown(record(4).data)) == [Want(b"", certificate_hash(cert(4)))]
    assert victim.is_unchanged()
    outcomes = victim.certified(cert(4).der)
    assert outcomes[:2] == [CertificateAccepted(cert(4)), RecordAccepted(record(4))]


def test_a_forged_record_that_waited_is_its_bringers_fault(victim: Victim) -> None:
    victim.shown(forged(4, 1))
    victim.hears(GOOD, NodeRecords([record(4).data]))
    outcomes = victim.gossip.certificates_received(GOOD, [cert(4).der], victim.now)
    assert closed(outcomes) == [(BAD, "protocol")]
    assert RecordAccepted(record(4)) in outcomes


def test_a_certificate_shown_in_a_handshake_frees_what_waited_for_it(victim: Victim) -> None:
    victim.shown(record(4).data)
    assert RecordAccepted(record(4)) in victim.gossip.certificate_seen(cert(4), victim.now)


def test_records_under_unknown_certificates_are_parked_only_so_many(victim: Victim) -> None:
    for number in range(MOST_HELD + 50):
        junk = [number.to_bytes(32), 1, 1, [], 0, [], [], b"", ""]
        victim.shown(seal(ObjectKind.RECORD, CA.network, msgspec.msgpack.encode(junk), key("evil")))
        victim.now += 0.02
    branch = victim.gossip._tree.get(BAD)
    assert branch is not None
    assert len(branch.held) == MOST_HELD


# Floods


def test_over_its_budget_a_neighbour_is_throttled(victim: Victim) -> None:
    victim.shown(record(3).data)
    outcomes = [victim.shown(*[record(3).data] * 500)]
    assert victim.gossip.counts.throttled == 101
    assert not closed(outcomes[0])
    victim.now += 2.0
    assert RecordAccepted(record(3, 2)) in victim.shown(record(3, 2).data)


def test_ten_thousand_records_a_second_close_the_link_in_a_second(victim: Victim) -> None:
    reached = None
    for step in range(100):
        if found := closed(victim.shown(*[record(3).data] * 100)):
            reached = step
            assert found == [(BAD, "too many records")]
            break
        victim.now += 0.01
    assert reached is not None
    assert RecordAccepted(record(2, 2)) in victim.hears(GOOD, NodeRecords([record(2, 2).data]))


def test_a_new_link_brings_no_new_budget(victim: Victim) -> None:
    """Else who closes and dials anew all day could have us look at as many signatures as it likes."""
    for _ in range(5):
        victim.shown(*[record(3, seq=number).data for number in range(1, 401)])
        victim.gossip.link_closed(BAD, victim.now)
        victim.gossip.link_opened(BAD, cert(3).node_id, victim.now)

    assert victim.gossip.counts.throttled == 4 * 400
    victim.now += 1.0
    victim.shown(*[record(3, seq=number).data for number in range(500, 701)])
    assert victim.gossip.counts.throttled == 4 * 400 + 1


def test_twice_the_budget_for_half_a_minute_closes_the_link(victim: Victim) -> None:
    for second in range(30):
        if closed(victim.shown(*[record(3).data] * 400)):
            assert second > 5
            return
        victim.now += 1.0
    pytest.fail("it was let go on")


def test_a_flood_of_certificates_is_a_flood_too(victim: Victim) -> None:
    assert closed(victim.certified(*[cert(4).der] * 4000)) == [(BAD, "too many records")]


@pytest.mark.parametrize(
    "message", [Have(bytes(48 * 1024)), Digest(bytes(2048)), Want(bytes(48 * 1024)), Have(b"", bytes(256))]
)
def test_a_flood_of_anything_closes_the_link_and_wakes_little(victim: Victim, message: Gossiped) -> None:
    said = 0
    for _ in range(10_000):
        outcomes = victim.hears(BAD, message)
        said += sum(len(each.payload) for each in outcomes if isinstance(each, SendMessage))
        if closed(outcomes):
            break
    else:
        pytest.fail("it was let go on")
    assert said < 8 * 1024
    assert victim.is_unchanged()


@pytest.mark.parametrize("message", [Have(bytes(13)), Want(bytes(13)), Want(b"", bytes(31))])
def test_half_an_id_closes_the_link(victim: Victim, message: Gossiped) -> None:
    assert closed(victim.hears(BAD, message)) == [(BAD, "protocol")]


def test_digests_are_answered_only_so_often(victim: Victim) -> None:
    answers = [sent(victim.hears(BAD, Digest(bytes(2048)))) for _ in range(10)]
    assert [len(each) for each in answers] == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    victim.now += 10.0
    assert len(sent(victim.hears(BAD, Digest(bytes(2048))))) == 1


def test_an_answer_to_a_digest_we_never_sent_makes_us_send_nothing(victim: Victim) -> None:
    branch = victim.gossip._tree.get(BAD)
    assert branch is not None
    branch.digest = b""
    assert victim.hears(BAD, Have(b"", bytes(range(256)))) == []


def test_ids_of_nothing_are_looked_for_only_so_many(victim: Victim) -> None:
    for start in range(0, 2 * MOST_KEYS, 1000):
        names = b"".join((start + each).to_bytes(4) + bytes(3) + b"\x01" + bytes(3) + b"\x01" for each in range(1000))
        victim.hears(BAD, Have(names))
        victim.now += 0.19
    asked = sum(len(each.ids) // 12 for each in sent(victim.gossip.tick(victim.now + 0.2)) if isinstance(each, Want))
    assert len(victim.gossip._records_wanted) <= MOST_KEYS
    assert asked <= MOST_ASKED


def test_what_a_silent_neighbour_named_comes_from_another(victim: Victim) -> None:
    name = record(2, 2).id12
    victim.hears(BAD, Have(name))
    victim.now += 0.1
    victim.hears(GOOD, Have(name))
    asked: list[object] = []
    for _ in range(30):
        victim.now += 0.1
        asked += [
            (each.link, decode(each.payload))
            for each in victim.gossip.tick(victim.now)
            if isinstance(each, SendMessage)
        ]
    wants = [each for each in asked if isinstance(each[1], Want)]  # type: ignore[index]
    assert wants == [(BAD, Want(name)), (GOOD, Want(name))]


def test_nothing_is_heard_on_a_link_that_is_not_there(victim: Victim) -> None:
    assert victim.hears(LinkId(9), NodeRecords([record(2, 2).data])) == []
    assert victim.gossip.certificates_received(LinkId(9), [cert(4).der], victim.now) == []
    assert victim.gossip.link_closed(LinkId(9), victim.now) == []
    assert not is_eager(victim.gossip, LinkId(9))
    assert victim.is_unchanged()


def test_it_is_complete_once_what_was_named_came_or_nobody_gives_it(victim: Victim) -> None:
    assert victim.gossip.is_complete()
    victim.hears(BAD, Have(record(4).id12))
    assert not victim.gossip.is_complete()
    victim.shown(record(4).data)
    assert not victim.gossip.is_complete(), "its certificate is missing"
    victim.certified(cert(4).der)
    assert victim.gossip.is_complete()
    victim.hears(BAD, Have(record(5).id12))
    assert not victim.gossip.is_complete()
    for _ in range(10):
        victim.now += 1.0
        victim.gossip.tick(victim.now)
    assert victim.gossip.is_complete()
