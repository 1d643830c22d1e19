"""Who announces which services, and whether that changed."""

from pulse.core.paths.noderecord import NodeRecord, Service, sign_record
from pulse.core.paths.offers import Offers
from tests.authority import key
from tests.core.paths.records import cert, machine

POSTGRES, HTTP = Service("postgres", 5432), Service("http", 80, 5)


def says(place: int, *services: Service, seq: int = 1) -> NodeRecord:
    return sign_record(key(machine(place)), cert(place), boot=1, seq=seq, services=services)


def test_what_nodes_announce_is_known_until_they_are_forgotten() -> None:
    offers = Offers()
    offers.record_accepted(says(1, POSTGRES))
    offers.record_accepted(says(2, POSTGRES, HTTP))
    offers.record_accepted(says(3))
    assert offers.all() == {cert(1).node_id: (POSTGRES,), cert(2).node_id: (POSTGRES, HTTP)}

    offers.record_accepted(says(2, HTTP, seq=2))
    offers.record_forgotten(cert(1).node_id)
    offers.record_forgotten(cert(3).node_id)
    assert offers.all() == {cert(2).node_id: (HTTP,)}

    offers.record_accepted(says(2, seq=3))
    assert offers.all() == {}


def test_a_record_that_says_the_same_changes_nothing() -> None:
    offers = Offers()
    offers.record_accepted(says(1, POSTGRES))
    before = offers.revision
    offers.record_accepted(says(1, POSTGRES, seq=2))
    offers.record_accepted(says(2))
    offers.record_forgotten(cert(3).node_id)
    assert offers.revision == before

    offers.record_accepted(says(1, HTTP, seq=3))
    assert offers.revision != before
