"""Member: a machine keeps the identity it has, makes a network, joins one, or is told what to do."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pulse import clock
from pulse.assembly import member
from pulse.config import NodeConfig
from pulse.core.trust.ca import DAY
from pulse.core.trust.identity import mesh_v6, node_id, public_bytes
from pulse.core.trust.invites import Invite, encode_invite
from pulse.core.trust.join import (
    Denied,
    Floors,
    Granted,
    Refusal,
    build_answer,
    build_showing,
    key_of_csr,
    parse_request,
)
from pulse.core.trust.renew import build_answer as build_renewed
from pulse.core.trust.renew import read_renewal
from pulse.core.trust.tokens import Token, print_token
from pulse.core.types import MeshAddresses, spaced
from pulse.errors import Conflict, LinkError, NotFound, Refused
from pulse.net import relays as zone
from pulse.settings import load
from pulse.store import authority, identity, peers
from pulse.store.files import open_data_dir
from pulse.store.identity import Identity
from tests.authority import NOW, Ca, key, secret
from tests.fakes import FakeLane, FakeLinks

CA = Ca()
TOKEN = Token(secret("invite"), CA.authority.ca_hash)
HERE, THERE = "192.0.2.1:443", "192.0.2.2:443"
INVITE = encode_invite(Invite((HERE,), CA.network, TOKEN.secret))
PINNED, BARE = print_token(TOKEN.secret, CA.network.ca_hash), TOKEN.secret


class CaLane(FakeLane):
    """A lane that leads to the CA, which takes in whoever asks."""

    def __init__(self) -> None:
        super().__init__(leaf=CA.leaf("relay"), objects=build_showing([CA.authority.der]))

    async def send(self, request: bytes) -> bytes:
        """A certificate for the key that asks."""
        self.requests.append(request)
        asks = parse_request(request)
        public_key = key_of_csr(asks.csr)
        grant = replace(CA.grant("newcomer"), public_key=public_key, host=asks.host or None)
        grant = replace(grant, addresses=MeshAddresses(grant.addresses.v4, mesh_v6(CA.network, node_id(public_key))))
        return build_answer(
            request, Granted(CA.issuer.issue(grant, 7), [CA.authority.der], [], Floors(2, 1, 4), NOW), TOKEN.keys
        )


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


@pytest.fixture
def links() -> FakeLinks:
    """At one address the CA is to be had, at the other nobody."""
    return FakeLinks(lanes={HERE: CaLane()})


def config(data_dir: Path, *peers: str, **flags: object) -> NodeConfig:
    return load({"data-dir": str(data_dir), "name": "box", **flags}, peers, environment={})


# Held


async def test_a_new_machine_holds_nothing_and_a_member_what_it_became(data_dir: Path, links: FakeLinks) -> None:
    assert member.held(config(data_dir)) is None

    became = await member.joined(config(data_dir, INVITE), links, lambda _: None)
    kept = member.held(config(data_dir))
    assert kept is not None
    assert (kept.certificate, kept.key_der, kept.floors) == (became.certificate, became.key_der, Floors(2, 1, 4))


async def test_a_member_is_asked_for_nothing_it_is_not(data_dir: Path, links: FakeLinks) -> None:
    await member.joined(config(data_dir, INVITE), links, lambda _: None)

    with pytest.raises(Refused, match="a member of mynet, not of other"):
        member.held(config(data_dir, network="other"))
    with pytest.raises(Conflict, match="joined mynet as a member"):
        member.held(config(data_dir, ca=True))


# Enrolled


async def test_a_ca_makes_the_network_it_is_told_or_the_default_one(tmp_path: Path, links: FakeLinks) -> None:
    named = await member.enrolled(
        config(open_data_dir(tmp_path / "named"), ca=True, network="home", **{"mesh-cidr": "10.9.0.0/24"}), links
    )
    usual = await member.enrolled(config(open_data_dir(tmp_path / "usual"), ca=True), links)

    assert (named.certificate.network.name, named.certificate.host, named.certificate.is_ca) == ("home", "box", True)
    assert str(named.certificate.addresses.v4).startswith("10.9.0.")
    assert usual.certificate.network.name == member.DEFAULT_NETWORK
    assert authority.exists(tmp_path / "usual")
    assert links.joins == []


@pytest.mark.parametrize(
    ("peers", "flags"), [((INVITE,), {}), ((HERE,), {"token": PINNED})], ids=["invite", "relay and token"]
)
async def test_a_machine_that_is_told_a_way_in_joins(
    data_dir: Path, links: FakeLinks, peers: tuple[str, ...], flags: dict[str, object]
) -> None:
    became = await member.enrolled(config(data_dir, *peers, **flags), links)

    assert (became.certificate.network, became.certificate.host, became.pinned) == (CA.network, "box", True)
    assert not authority.exists(data_dir)


async def test_a_machine_that_is_told_nothing_is_told_what_to_type(data_dir: Path, links: FakeLinks) -> None:
    with pytest.raises(NotFound, match="in no network yet") as told:
        await member.enrolled(config(data_dir), links)

    assert "pulse join pls_" in str(told.value)
    assert not (data_dir / identity.DIRECTORY).exists()


# Ended certificates


class RenewingLane(FakeLane):
    """A lane that leads to the CA, which renews whoever was a member, or says no."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        super().__init__(leaf=CA.leaf("relay"), objects=build_showing([CA.authority.der]))
        self.refusal = refusal

    async def send(self, request: bytes) -> bytes:
        self.requests.append(request)
        shown = read_renewal(request, (CA.authority,))
        if self.refusal is not None:
            return build_renewed(request, Denied(self.refusal, NOW), CA.network, CA.key)
        grant = replace(CA.grant("box"), not_before=NOW - 1, public_key=shown.public_key, addresses=shown.addresses)
        granted = Granted(CA.issuer.issue(grant, 9), [CA.authority.der], [], Floors(), NOW)
        return build_renewed(request, granted, CA.network, CA.key)


def ended(data_dir: Path, **changes: object) -> Identity:
    """A member whose certificate ended a day ago, as it lies on disk."""
    certificate = CA.certificate("box", not_before=NOW - 90 * DAY, not_after=NOW - DAY, **changes)
    found = Identity(key("box"), certificate, (CA.authority.der,), bootstrap=(HERE,))
    identity.save(data_dir, found)
    return found


async def test_a_certificate_that_is_good_stays(data_dir: Path) -> None:
    good = Identity(key("box"), CA.certificate("box"), (CA.authority.der,))
    assert await member.lasting(config(data_dir), FakeLinks(), good, print) is good


async def test_one_that_ended_is_renewed_over_the_first_node_that_helps(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    found = ended(data_dir)
    peers.save(data_dir, [peers.KnownPeer("ab", "b", [THERE], CA.leaf("b"))])
    links = FakeLinks(lanes={THERE: RenewingLane()})
    told: list[str] = []
    renewed = await member.lasting(config(data_dir), links, found, told.append)

    assert links.joins == [(HERE, True), (THERE, True)]
    assert renewed.certificate.not_after > NOW
    assert identity.load(data_dir).certificate == renewed.certificate
    assert [each.split(":")[0] for each in caplog.messages] == ["certificate has ended", "certificate renewed"]
    assert told[0].startswith("this machine's certificate ended at 2026-09-20")
    assert told[1] == f"certificate renewed over {THERE}, until 2026-12-20 14:13 UTC"


async def test_with_nobody_there_the_node_comes_up_as_it_is(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = ended(data_dir)
    told: list[str] = []
    assert await member.lasting(config(data_dir), FakeLinks(), found, told.append) is found
    assert told[1] == "none of them could help; it goes on asking while it runs"
    assert "certificate not renewed yet" in caplog.messages


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (Refusal.TOO_LATE, "more than 30 days ago.*\n.*join again"),
        (Refusal.NODE_REVOKED, "revoked"),
        (Refusal.ADDRESS_TAKEN, "belongs to another"),
    ],
)
async def test_the_cas_no_is_the_end_of_the_start(data_dir: Path, refusal: Refusal, said: str) -> None:
    found = ended(data_dir)
    with pytest.raises(Refused, match=said):
        await member.lasting(config(data_dir), FakeLinks(lanes={HERE: RenewingLane(refusal)}), found, print)
    assert identity.load(data_dir).certificate == found.certificate


@pytest.mark.parametrize("refusal", [Refusal.CA_CLOCK, Refusal.CA_RECOVERING, Refusal.REPLAYED])
async def test_a_no_that_passes_lets_the_node_come_up_as_it_is(data_dir: Path, refusal: Refusal) -> None:
    found = ended(data_dir)
    told: list[str] = []
    links = FakeLinks(lanes={HERE: RenewingLane(refusal)})
    assert await member.lasting(config(data_dir), links, found, told.append) is found
    assert told[-1].endswith("goes on asking while it runs")


async def test_the_cas_own_node_is_renewed_once_its_ca_runs(data_dir: Path) -> None:
    authority.found(data_dir, "mynet", CA.mesh, NOW)
    found, links = ended(data_dir, is_ca=True), FakeLinks()
    assert await member.lasting(config(data_dir), links, found, print) is found
    assert links.joins == []


# Joined


async def test_each_step_of_a_join_is_told(data_dir: Path, links: FakeLinks) -> None:
    told: list[str] = []
    became = await member.joined(config(data_dir, INVITE), links, told.append)

    reached, trusted, certified = told
    assert reached.startswith(f"reached {HERE}")
    assert trusted == f"CA {spaced(CA.network.ca_hash)} is the one in the invite"
    assert certified == f"certificate for box, {became.certificate.addresses.v4}, until 2026-12-20"


async def test_a_join_by_a_token_that_names_no_ca_says_what_to_compare(data_dir: Path, links: FakeLinks) -> None:
    told: list[str] = []
    became = await member.joined(config(data_dir, join=HERE, token=BARE), links, told.append)

    assert not became.pinned
    assert "trusted on first use; compare it" in told[1]


async def test_a_join_that_failed_leaves_no_identity_and_the_next_one_has_the_same_key(
    data_dir: Path, links: FakeLinks
) -> None:
    with pytest.raises(LinkError, match=f"could not join at {THERE}"):
        await member.joined(config(data_dir, join=THERE, token=PINNED), links, lambda _: None)
    assert member.held(config(data_dir)) is None
    kept = public_bytes(identity.join_key(data_dir, key("another")))

    became = await member.joined(config(data_dir, INVITE), links, lambda _: None)
    assert became.certificate.public_key == kept != public_bytes(key("another"))


# A domain


def domain(monkeypatch: pytest.MonkeyPatch, answer: tuple[str, ...] | OSError) -> None:
    async def published(name: str) -> tuple[str, ...]:
        assert name == "example.com"
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(zone, "published", published)


def by_domain(data_dir: Path) -> NodeConfig:
    variables = {"PULSE_BOOTSTRAP_DNS_DOMAIN": "example.com"}
    return load({"data-dir": str(data_dir), "token": PINNED}, environment=variables)


async def test_a_machine_joins_by_the_relays_its_domain_names(
    data_dir: Path, links: FakeLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain(monkeypatch, (HERE,))

    assert (await member.enrolled(by_domain(data_dir), links)).bootstrap == (HERE,)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OSError("cannot look up _pulse.example.com: no answer"), "Name a relay yourself: pulse join <host:port>"),
        ((), '_pulse.example.com names no relay. Its TXT records have to be like "relay.example.com:443"'),
    ],
    ids=["silent", "empty"],
)
async def test_a_domain_that_names_no_relay_is_an_error_with_the_next_step(
    data_dir: Path,
    links: FakeLinks,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[str, ...] | OSError,
    said: str,
) -> None:
    domain(monkeypatch, answer)

    with pytest.raises(LinkError, match=re.escape(said)):
        await member.enrolled(by_domain(data_dir), links)


async def test_a_node_with_many_places_keeps_nobody_waiting_for_another(data_dir: Path, links: FakeLinks) -> None:
    became = await member.joined(config(data_dir, INVITE), links, lambda _: None)
    many = [f"192.0.2.{each}:443" for each in range(10, 14)]
    peers.save(
        data_dir, [peers.KnownPeer("ab", "b", many, CA.leaf("b")), peers.KnownPeer("cd", "c", [THERE], CA.leaf("c"))]
    )

    found = member.places(config(data_dir), became)

    assert found == [HERE, many[0], THERE, *many[1:]]
