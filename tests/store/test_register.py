"""The ledger's tables hold their promises even against a caller that forgot to ask."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from pulse.core.trust.admission import Admit, AdmitOwn
from pulse.core.types import MeshAddresses, NodeId
from pulse.errors import Conflict
from pulse.store.database import Database
from pulse.store.register import Register
from tests.authority import NOW, node, secret, token
from tests.store.ledgers import CA, LEDGER, make

TOKEN = token("t", max_uses=1, tags=("db", "prod"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    make(tmp_path / "ca", TOKEN)
    database = Database.open(tmp_path / "ca" / LEDGER, CA.network)
    yield database
    database.connection.close()


@pytest.fixture
def register(database: Database) -> Register:
    return Register(database.connection)


def admit(machine: str, v4: str = "10.100.1.2", host: str | None = None) -> Admit:
    grant = CA.grant(machine)
    addresses = MeshAddresses(IPv4Address(v4), grant.addresses.v6)
    changed = type(grant)(grant.public_key, addresses, None, host, (), False, grant.not_before, grant.not_after)
    return Admit(node(machine), changed, TOKEN)


def test_a_token_comes_back_as_it_was_added(register: Register) -> None:
    assert register.token(TOKEN.keys.selector) == TOKEN
    assert register.token(b"other") is None
    assert register.tokens() == [TOKEN]


def test_a_use_too_many_is_never_counted(register: Register) -> None:
    register.use_token(TOKEN)
    with pytest.raises(Conflict, match="used up in between"):
        register.use_token(TOKEN)


def test_a_revoked_token_is_never_counted(register: Register) -> None:
    register.revoke_token(TOKEN, NOW)
    with pytest.raises(Conflict):
        register.use_token(TOKEN)


def test_the_table_itself_refuses_more_uses_than_allowed(database: Database) -> None:
    with pytest.raises(Conflict, match="contradicts"), database.transaction() as connection:
        connection.execute("UPDATE tokens SET uses = 2")


def test_a_held_address_and_name_are_the_nodes_until_they_end(register: Register) -> None:
    held = admit("a", host="box")
    register.hold(held)
    assert register.address_of(node("a")) == IPv4Address("10.100.1.2")
    assert register.address_is_held(IPv4Address("10.100.1.2"), held.held_until - 1)
    assert not register.address_is_held(IPv4Address("10.100.1.2"), held.held_until)
    assert register.name_holder("box", held.held_until - 1) == node("a")
    assert register.name_holder("box", held.held_until) is None


def test_a_node_holds_one_address_at_a_time(register: Register) -> None:
    register.hold(admit("a", "10.100.1.2"))
    register.hold(admit("a", "10.100.1.3"))
    assert register.address_of(node("a")) == IPv4Address("10.100.1.3")
    assert not register.address_is_held(IPv4Address("10.100.1.2"), NOW)


def test_an_address_past_its_time_goes_to_the_next_node(register: Register) -> None:
    register.hold(admit("a"))
    register.hold(admit("b"))
    assert register.address_of(node("a")) is None
    assert register.address_of(node("b")) == IPv4Address("10.100.1.2")


def test_the_newest_certificate_of_a_node_is_found(register: Register) -> None:
    assert register.newest_certificate(node("a")) is None
    first, second = CA.issuer.issue(CA.grant("a"), 1), CA.issuer.issue(CA.grant("a"), 2)
    assert register.keep_certificate(first, TOKEN.keys.selector, NOW) == 1
    assert register.keep_certificate(second, None, NOW) == 2
    newest = register.newest_certificate(node("a"))
    assert newest is not None
    assert (newest.der, newest.token) == (second, None)


def test_time_never_falls(register: Register) -> None:
    register.see_time(NOW + 5)
    register.see_time(NOW)
    assert register.newest_time() == NOW + 5


def test_the_master_secret_is_that_of_the_token_in_force(register: Register) -> None:
    master = token("m")
    register.add_token(master, secret("m"))
    assert register.master_secret() == secret("m")
    register.revoke_token(master, NOW)
    assert register.master_secret() is None


def test_the_scribe_is_claimed_once(register: Register) -> None:
    assert register.first_scribe() is None
    assert register.claim_scribe(node("a"))
    assert not register.claim_scribe(node("b"))
    assert not register.claim_scribe(node("a"))
    assert register.first_scribe() == node("a")
    assert not register.joined_with_master(NodeId("ff" * 32))


def test_the_cas_own_node_costs_no_token(register: Register) -> None:
    own = AdmitOwn(node("a"), CA.grant("a"))
    register.hold(own)
    assert register.address_of(node("a")) == own.grant.addresses.v4
