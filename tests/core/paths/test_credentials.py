"""Only certificates a CA of ours vouches for are kept, and of each node no more than its records need."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pulse.core.paths.credentials import CLOCK_AGE, FRESH, MOST_FRESH, MOST_OF_A_NODE, MOST_REFUSED, Credentials
from pulse.core.paths.noderecord import certificate_hash
from pulse.core.trust.certificates import Certificate
from pulse.errors import ProtocolError, Refused
from tests.authority import NOW, Ca
from tests.core.paths.records import CA, cert, machine

if TYPE_CHECKING:
    from pulse.core.types import NodeId

ME = cert(1)


class Shelf:
    """Credentials, and the records that name some of them."""

    def __init__(self, most: int = 4096) -> None:
        self.named: dict[NodeId, bytes] = {}
        self.authorities = [CA.authority]
        self.credentials = Credentials(ME, lambda: self.authorities, self.named.get, most)

    def holds(self, *certificates: Certificate) -> list[bool]:
        return [self.credentials.get(certificate_hash(each)) == each for each in certificates]


def issued(place: int, age: float) -> Certificate:
    """A certificate of that machine that began so many seconds ago."""
    return CA.certificate(machine(place), addresses=cert(place).addresses, not_before=NOW - age)


def test_a_good_certificate_is_found_by_its_hash_and_by_its_node() -> None:
    credentials = Shelf().credentials
    assert credentials.received(cert(2).der, 0.0) == cert(2)
    assert credentials.get(certificate_hash(cert(2))) == cert(2)
    assert credentials.newest(cert(2).node_id) == cert(2)
    assert credentials.newest(cert(3).node_id) is None
    assert credentials.is_settled(certificate_hash(cert(2)))
    assert credentials.newest(ME.node_id) == ME


def test_what_a_retired_ca_key_signed_goes_but_for_our_own_and_what_was_refused_may_come_again() -> None:
    shelf, other = Shelf(), Ca("ca two")
    second = replace(other.authority, network=CA.network)
    shelf.credentials.received(cert(2).der, 0.0)
    assert shelf.credentials.authorities_changed() == []
    shelf.authorities = [second, CA.authority]
    assert shelf.credentials.authorities_changed() == [], "one key more costs nobody anything"
    shelf.authorities = [second]
    assert shelf.credentials.authorities_changed() == [cert(2)]
    assert shelf.holds(cert(2), ME) == [False, True]
    assert shelf.credentials.authorities_changed() == []


def test_what_began_since_the_clock_was_read_has_begun_and_what_begins_later_has_not() -> None:
    credentials = Shelf().credentials
    credentials.clock_read(NOW, 0.0)
    assert credentials.received(issued(2, -CLOCK_AGE).der, 0.0).node_id == cert(2).node_id
    with pytest.raises(Refused, match="not valid before"):
        credentials.received(issued(3, -CLOCK_AGE - 2).der, 0.0)


def test_a_certificate_of_a_ca_we_learn_of_later_is_judged_anew() -> None:
    shelf, der = Shelf(), Ca("ca two").leaf(machine(2))
    with pytest.raises(Refused):
        shelf.credentials.received(der, 0.0)
    with pytest.raises(ProtocolError):
        shelf.credentials.received(b"0\x03abc", 0.0)


def test_before_the_clock_was_read_times_are_not_judged() -> None:
    credentials, ended = Shelf().credentials, CA.leaf(machine(2), not_after=NOW - 5)
    assert credentials.received(ended, 0.0)
    (gone,) = credentials.clock_read(NOW, 0.0)
    assert gone.node_id == cert(2).node_id
    with pytest.raises(Refused, match="ended"):
        credentials.received(ended, 0.0)


def test_a_clock_that_lost_its_time_does_not_end_or_refuse_anybody() -> None:
    credentials = Shelf().credentials
    assert credentials.clock_read(0.0, 0.0) == []
    assert credentials.received(cert(2).der, 0.0) == cert(2)


def test_what_was_refused_may_be_right_when_the_clock_is() -> None:
    credentials = Shelf().credentials
    credentials.clock_read(cert(2).not_before - 9999, 0.0)
    credentials.clock_read(cert(2).not_after + 1, 0.0)
    with pytest.raises(Refused):
        credentials.received(cert(2).der, 0.0)
    assert credentials.is_settled(certificate_hash(cert(2)))
    credentials.clock_read(NOW, 0.0)
    assert not credentials.is_settled(certificate_hash(cert(2)))
    assert credentials.received(cert(2).der, 0.0) == cert(2)


def test_ours_stays_even_when_it_ended() -> None:
    credentials = Shelf().credentials
    assert credentials.clock_read(ME.not_after + 1, 0.0) == []
    assert credentials.newest(ME.node_id) == ME


def test_beside_the_newest_the_one_the_record_names_is_kept() -> None:
    shelf = Shelf()
    old, middle, new = issued(2, 300), issued(2, 200), issued(2, 100)
    shelf.credentials.received(old.der, 0.0)
    shelf.named[old.node_id] = certificate_hash(old)
    assert shelf.credentials.seen(new)
    assert not shelf.credentials.seen(new)
    shelf.credentials.received(middle.der, 0.0)
    assert shelf.holds(old, middle, new) == [True, True, True]
    shelf.credentials.record_taken(old.node_id)
    assert shelf.holds(old, middle, new) == [True, False, True]
    shelf.named[old.node_id] = certificate_hash(new)
    shelf.credentials.record_taken(old.node_id)
    assert shelf.holds(old, middle, new) == [False, False, True]


def test_a_node_has_only_so_many_certificates_here() -> None:
    shelf = Shelf()
    many = [issued(2, age) for age in range(100, 160, 10)]
    for each in many:
        shelf.credentials.received(each.der, 0.0)
    assert shelf.holds(*many).count(True) == MOST_OF_A_NODE
    assert shelf.holds(many[0], many[-1]) == [True, True]


def test_what_is_new_to_us_is_taken_to_be_new_to_others_for_a_minute() -> None:
    credentials = Shelf().credentials
    credentials.received(cert(2).der, 5.0)
    credentials.seen(cert(3), 6.0)
    credentials.seen(cert(4))
    hashes = [certificate_hash(cert(place)) for place in (1, 2, 3, 4)]
    assert [credentials.is_fresh(each, 7.0) for each in hashes] == [False, True, True, False]
    assert [credentials.is_fresh(each, 5.0 + FRESH) for each in hashes] == [False, False, True, False]
    for place in range(10, 10 + MOST_FRESH):
        credentials.seen(cert(place), 8.0)
    assert not credentials.is_fresh(hashes[2], 9.0)


def test_a_revoked_node_is_out_until_its_revocation_counts_no_more() -> None:
    shelf = Shelf()
    shelf.credentials.received(cert(2).der, 0.0)
    shelf.credentials.revocations_changed(frozenset({cert(2).node_id, cert(3).node_id}))
    assert shelf.holds(cert(2)) == [False]
    for place in (2, 3):
        assert not shelf.credentials.seen(cert(place))
        with pytest.raises(Refused, match="revoked"):
            shelf.credentials.received(cert(place).der, 0.0)
        assert shelf.credentials.is_refused(certificate_hash(cert(place)))
    shelf.credentials.revocations_changed(frozenset())
    assert not shelf.credentials.is_refused(certificate_hash(cert(2)))
    assert shelf.credentials.received(cert(2).der, 0.0) == cert(2)


def test_room_is_made_by_nodes_without_a_record_and_never_by_us() -> None:
    shelf = Shelf(most=3)
    for place in (2, 3):
        shelf.credentials.received(cert(place).der, 0.0)
    shelf.named[cert(2).node_id] = certificate_hash(cert(2))
    shelf.credentials.received(cert(4).der, 0.0)
    assert shelf.holds(ME, cert(2), cert(3), cert(4)) == [True, True, False, True]
    shelf.named[cert(4).node_id] = certificate_hash(cert(4))
    with pytest.raises(Refused, match="no room"):
        shelf.credentials.received(cert(5).der, 0.0)
    assert shelf.credentials.received(issued(2, 10).der, 0.0)


def test_only_so_many_refusals_are_remembered() -> None:
    shelf = Shelf()
    shelf.authorities.clear()
    for number in range(MOST_REFUSED + 1):
        shelf.credentials._refuse(number.to_bytes(32))
    assert not shelf.credentials.is_refused(bytes(32))
    assert shelf.credentials.is_refused(MOST_REFUSED.to_bytes(32))
