"""Enrolment: a founding cut short anywhere is finished by the next start, and nobody becomes what they are not."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.network.netconfig import Config, Settings, open_config, sign_config
from pulse.core.trust.certificates import parse
from pulse.core.trust.invites import Invite, encode_invite
from pulse.core.trust.join import Enrolment, Floors
from pulse.core.trust.roles import Roles, open_roles, sign_roles
from pulse.core.trust.tokens import print_token
from pulse.errors import Conflict, Damaged, NotFound, Refused
from pulse.services import enrol
from pulse.services.enrol import Door
from pulse.store import authority, identity
from pulse.store.files import open_data_dir
from pulse.store.identity import Identity
from pulse.store.ledger import Ledger
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, NOW, Ca, key, node, secret

ROOT = Path(__file__).parents[2]
CA = Ca()
INVITE = encode_invite(Invite(("192.0.2.1:443", "[2001:db8::1]:443"), CA.network, secret("invite")))
TOKEN = print_token(secret("invite"), CA.network.ca_hash)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


ANY = key("any")


def contents(member: Identity) -> tuple[bytes, Identity]:
    """What two identities must share to be one: keys compare by their bytes only."""
    return member.key_der, replace(member, key=ANY)


def identity_on_disk(data_dir: Path) -> tuple[bytes, Identity]:
    return contents(identity.load(data_dir))


def found(data_dir: Path, network: str = "mynet") -> Identity:
    return enrol.found(data_dir, network, MESH, "first")


# Founding


def test_a_founded_network_has_a_ca_and_its_first_node(data_dir: Path) -> None:
    made = found(data_dir)
    me = made.certificate

    assert identity_on_disk(data_dir) == contents(made)
    assert (me.network.name, me.host, me.is_ca, made.pinned) == ("mynet", "first", True, True)
    assert me.addresses.v4 in MESH
    issuer = authority.open_issuer(data_dir)
    assert made.authorities == issuer.authorities
    with authority.open_ledger(data_dir, issuer) as ledger:
        assert [each.event for each in ledger.entries()] == ["ledger made", "certificate issued"]


STEPS: dict[str, tuple[object, str]] = {
    "before the CA is made": (authority, "found"),
    "before its key is read": (authority, "open_issuer"),
    "before the node has a key": (identity, "join_key"),
    "before the ledger is opened": (authority, "open_ledger"),
    "before the certificate is issued": (Ledger, "enrol_own"),
    "before the identity is written": (identity, "save"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("done", [False, True], ids=["", "and it is done itself"])
def test_a_founding_that_dies_at_any_step_is_finished_by_the_next_start(
    data_dir: Path, step: str, *, done: bool
) -> None:
    assert dies_at(data_dir, *STEPS[step], done=done) == 9
    ca_hash = authority.open_issuer(data_dir).network.ca_hash if authority.exists(data_dir) else None
    finished = loaded(data_dir) or found(data_dir)

    assert identity_on_disk(data_dir) == contents(finished)
    assert ca_hash in (None, finished.certificate.network.ca_hash)
    issuer = authority.open_issuer(data_dir)
    with authority.open_ledger(data_dir, issuer) as ledger:
        issued = [each.fields for each in ledger.entries() if each.event == "certificate issued"]
        assert {each["node"] for each in issued} == {finished.certificate.node_id}
        assert {each["v4"] for each in issued} == {str(finished.certificate.addresses.v4)}
        assert ledger.verify().broken is None


def loaded(data_dir: Path) -> Identity | None:
    try:
        return identity.load(data_dir)
    except NotFound:
        return None


def dies_at(data_dir: Path, owner: object, name: str, *, done: bool) -> int:
    """Fork a start that dies, without any clean-up, at the named step or right after it; its exit code."""
    child = os.fork()
    if child == 0:
        step: Callable[..., object] = getattr(owner, name)

        def die(*arguments: object, **named: object) -> None:
            if done:
                step(*arguments, **named)
            os._exit(9)

        setattr(owner, name, die)
        try:
            found(data_dir)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_kill_9_at_any_rename_of_a_founding_is_mended_by_the_next_start(tmp_path: Path) -> None:
    for when in range(1, 40):
        data_dir = open_data_dir(tmp_path / f"data-{when}")
        if killed(data_dir, when) == 0:
            assert when > 3
            return
        finished = loaded(data_dir) or found(data_dir)
        assert identity.load(data_dir).certificate == finished.certificate
    pytest.fail("a founding never ended")


def killed(data_dir: Path, when: int) -> int:
    """A founding in a process of its own that is killed as it begins its `when`th rename."""
    code = """
import os, signal, sys
from ipaddress import IPv4Network
from pathlib import Path
from pulse.services import enrol
left = int(sys.argv[2])
rename = os.rename
def count(*arguments, **named):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(*arguments, **named)
os.rename = count
Path.rename = lambda self, target: count(self, target)
enrol.found(Path(sys.argv[1]), "mynet", IPv4Network("10.100.0.0/16"), "first")
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code, str(data_dir), str(when)], env=environment, check=False)
    return done.returncode


def test_a_founding_is_not_finished_under_another_name(data_dir: Path) -> None:
    dies_at(data_dir, identity, "save", done=False)
    with pytest.raises(Conflict, match=r"holds the CA of network mynet.*\n.*--network mynet"):
        found(data_dir, "another")


def test_a_damaged_ca_is_never_made_anew(data_dir: Path) -> None:
    dies_at(data_dir, identity, "save", done=False)
    (data_dir / "ca" / "key").write_bytes(b"torn")
    with pytest.raises(Damaged):
        found(data_dir)
    assert loaded(data_dir) is None


# What a network has from its first minute


def state(data_dir: Path, scribe: str | None) -> Roles:
    """Start the CA; the roles in force after it."""
    issuer = authority.open_issuer(data_dir)
    enrol.state_network(data_dir, issuer, None if scribe is None else node(scribe))
    held = NetworkStore(data_dir).load_roles().data
    assert held is not None
    return open_roles(held, issuer.network, (issuer.authority,)).roles


def test_a_new_network_has_its_range_and_nobody_in_a_role(data_dir: Path) -> None:
    found(data_dir)
    roles = state(data_dir, None)
    issuer = authority.open_issuer(data_dir)
    config = NetworkStore(data_dir).load_config().data
    assert config is not None

    assert roles == Roles(1)
    assert open_config(config, issuer.network, (issuer.authority,), roles).mesh_cidr == MESH


def test_a_ca_that_is_scribe_says_so_once_and_stays_it(data_dir: Path) -> None:
    found(data_dir)

    assert state(data_dir, "ca") == Roles(1, node("ca"), 1)
    assert state(data_dir, "ca") == Roles(1, node("ca"), 1)
    assert state(data_dir, None) == Roles(1, node("ca"), 1)


def test_a_ca_may_become_scribe_later_but_takes_the_place_from_nobody(data_dir: Path) -> None:
    found(data_dir)
    state(data_dir, None)

    assert state(data_dir, "scribe") == Roles(2, node("scribe"), 1)
    assert state(data_dir, "ca") == Roles(2, node("scribe"), 1)


def test_after_damaged_roles_a_ca_signs_under_numbers_of_its_own_and_what_was_written_counts(data_dir: Path) -> None:
    found(data_dir)
    state(data_dir, None)
    state(data_dir, "ca")
    store, issuer = NetworkStore(data_dir), authority.open_issuer(data_dir)
    written = sign_config(issuer.network, Config(1, 7, Settings(str(MESH))), key("ca"))
    store.save_config(*written.number, written.data)
    (data_dir / "network" / "roles.2").write_bytes(b"damaged")

    roles = state(data_dir, "ca")

    assert (roles.epoch, roles.scribe, roles.scribe_epoch) == (3, node("ca"), 2)
    assert roles.base == (1, 7, written.sha256)
    assert open_config(written.data, issuer.network, (issuer.authority,), roles) == written


def test_roles_before_damaged_ones_that_a_retired_key_signed_stop_no_start_and_are_not_made_up(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found(data_dir)
    store, issuer = NetworkStore(data_dir), authority.open_issuer(data_dir)
    store.save_roles(1, sign_roles(issuer.network, Roles(1, operators=frozenset({node("op")})), key("retired")).data)
    store.save_roles(2, b"")
    (data_dir / "network" / "roles.2").write_bytes(b"damaged")

    enrol.state_network(data_dir, issuer, node("ca"))

    assert store.highest_roles() == 2, "who has which role the mesh knows, and the CA states nothing over it"
    assert "stored object left out" in caplog.messages
    assert "pulse ca grant" in str(caplog.records[-1].__dict__["error"])


# The door


def test_an_invite_is_door_and_token_in_one() -> None:
    way = enrol.door((), "", INVITE, None)

    assert way.addresses == ("192.0.2.1:443", "[2001:db8::1]:443")
    assert (way.network, way.token.secret, way.token.ca_hash) == ("mynet", secret("invite"), CA.network.ca_hash)
    assert enrol.door((), "", INVITE, "mynet") == way
    assert enrol.door((INVITE,), "", "", None) == way


def test_relays_and_a_token_are_a_door_with_the_network_that_was_named() -> None:
    way = enrol.door(("192.0.2.1:443",), TOKEN, "", "mynet")

    assert (way.addresses, way.network, way.token.ca_hash) == (("192.0.2.1:443",), "mynet", CA.network.ca_hash)


@pytest.mark.parametrize(
    ("relays", "token", "invite", "network", "words"),
    [
        (("192.0.2.1:443",), "", "", None, "a token is needed"),
        (("192.0.2.1:443",), "short", "", None, "too short"),
        (("192.0.2.1:443",), TOKEN[:-3], "", None, "cut short"),
        ((), "", INVITE[:-3], None, "cut short"),
        ((), "", INVITE[:-1] + ("A" if INVITE[-1] != "A" else "Q"), None, "mistyped"),
        ((), "", INVITE, "another", "the invite is for network mynet, not another"),
    ],
)
def test_a_door_that_cannot_open_says_why(
    relays: tuple[str, ...], token: str, invite: str, network: str | None, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        enrol.door(relays, token, invite, network)


def test_a_machine_asks_for_the_name_a_person_gave_else_for_its_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Web 01.example.com")

    assert enrol.wanted_name("box") == "box"
    assert enrol.wanted_name("") == "web-01"


# Membership


def joined(data_dir: Path) -> Identity:
    enrolment = Enrolment(parse(CA.leaf("newcomer")), (CA.authority.der,), (), Floors(2, 1, 4), NOW)
    way = Door(("192.0.2.1:443",), enrol.door((), "", INVITE, None).token, "mynet")
    return enrol.keep(data_dir, key("newcomer"), enrolment, way)


def test_what_a_join_brought_is_there_at_the_next_start(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    member = joined(data_dir)

    assert identity_on_disk(data_dir) == contents(member)
    assert (member.floors, member.time_floor, member.pinned) == (Floors(2, 1, 4), NOW, True)
    assert member.bootstrap == ("192.0.2.1:443",)
    assert secret("invite") not in member.token


def test_a_member_may_be_asked_for_what_it_is(data_dir: Path) -> None:
    enrol.check_member(joined(data_dir), "mynet", wants_ca=False)
    enrol.check_member(joined(data_dir), None, wants_ca=False)


def test_a_founder_may_be_asked_for_its_ca(data_dir: Path) -> None:
    enrol.check_member(found(data_dir), None, wants_ca=True)


def test_a_member_is_not_taken_for_one_of_another_network(data_dir: Path) -> None:
    with pytest.raises(Refused, match="a member of mynet, not of another"):
        enrol.check_member(joined(data_dir), "another", wants_ca=False)


def test_a_member_does_not_become_a_ca(data_dir: Path) -> None:
    with pytest.raises(Conflict, match="joined mynet as a member"):
        enrol.check_member(joined(data_dir), None, wants_ca=True)


def test_a_range_too_small_for_two_is_still_a_network(data_dir: Path) -> None:
    assert enrol.found(data_dir, "tiny", IPv4Network("10.9.9.0/29"), "first").certificate.is_ca


def test_a_ca_that_becomes_scribe_signs_no_epoch_twice_though_the_newest_roles_are_damaged(data_dir: Path) -> None:
    found(data_dir)
    state(data_dir, None)
    NetworkStore(data_dir).save_roles(5, b"five")
    (data_dir / "network" / "roles.5").write_bytes(b"torn")
    assert state(data_dir, "ca").epoch == 6
