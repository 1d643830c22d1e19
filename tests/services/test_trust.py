"""Trust service: the data plane believes whom the core believes, and hears of it before anything else."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from pulse.core.messages import ObjectKind
from pulse.core.trust.authorities import sign_retirement, sign_succession
from pulse.core.trust.ca import make_authority
from pulse.core.trust.join import build_showing
from pulse.core.trust.revocation import sign_revocation
from pulse.net.links import Trust
from pulse.services.trust import TrustService
from pulse.store.identity import Identity
from tests.authority import NOW, Ca, key
from tests.fakes import FakeLinks
from tests.loopback import key_der
from tests.mint import member, mesh

CA = Ca()
ME, BOB = member(CA, "me", 1), member(CA, "bob", 2)


@dataclass
class OrderedLinks(FakeLinks):
    """Remembers what came first."""

    order: list[str] = field(default_factory=list)

    def install_identity(self, chain: object, key: bytes) -> None:
        self.order.append("identity")
        super().install_identity(chain, key)  # type: ignore[arg-type]

    def install_trust(self, trust: Trust) -> None:
        self.order.append("trust")
        super().install_trust(trust)


def service(links: FakeLinks, time_floor: float = 0.0) -> TrustService:
    identity = Identity(key("me"), ME, (CA.authority.der,), time_floor=time_floor)
    return TrustService(links, identity, mesh(CA, ME))


def test_identity_and_trust_are_installed_trust_first() -> None:
    links = OrderedLinks()
    service(links).install()

    assert links.order == ["trust", "identity"]
    assert links.identity == ((ME.der,), key_der("me"))
    assert links.trust == Trust(
        (CA.authority.der,), CA.network.label, (), ME.not_before, build_showing([CA.authority.der])
    )


def test_the_next_certificate_is_shown_and_time_goes_on_with_it() -> None:
    links = OrderedLinks()
    trust = service(links)
    trust.install()
    renewed = member(CA, "me", 1, not_before=NOW + 5)
    trust.renewed(replace(trust.identity, certificate=renewed))

    assert links.order == ["trust", "identity"] * 2
    assert links.identity == ((renewed.der,), key_der("me"))
    assert links.trust is not None
    assert links.trust.time_floor == NOW + 5


@pytest.mark.parametrize(("floor", "installed"), [(0.0, ME.not_before), (NOW + 1, NOW + 1)])
def test_time_goes_back_neither_behind_our_certificate_nor_behind_what_the_ca_said(
    floor: float, installed: float
) -> None:
    links = FakeLinks()
    service(links, floor).install()

    assert links.trust is not None
    assert links.trust.time_floor == installed


def test_a_revocation_reaches_the_data_plane_and_the_identity_stays() -> None:
    links = OrderedLinks()
    trust = service(links)
    trust.install()
    signed = sign_revocation(CA.network, BOB.node_id, CA.key, time=NOW)
    trust.mesh.statements.object_received(ObjectKind.REVOCATION, signed.data)
    trust.trust_changed()

    assert links.trust is not None
    assert links.trust.revoked == (BOB.node_id,)
    assert links.order == ["trust", "identity", "trust"]


def test_a_revocation_by_a_foreign_ca_revokes_nobody() -> None:
    links, foreign = FakeLinks(), Ca("other ca")
    trust = service(links)
    signed = sign_revocation(CA.network, BOB.node_id, foreign.key, time=NOW)
    trust.mesh.statements.restored(ObjectKind.REVOCATION, signed.data)
    trust.trust_changed()

    assert links.trust is not None
    assert links.trust.revoked == ()


async def test_a_retired_key_is_taken_for_a_moment_longer_in_which_sessions_are_made_anew() -> None:
    links = FakeLinks()
    trust = service(links)
    trust.farewell = 0.0
    trust.install()
    second = make_authority(key("second"), "mynet", NOW, 2, CA.network.ca_hash)
    introduced = sign_succession(CA.network, CA.key, second)
    retired = sign_retirement(CA.network, CA.authority.public_key, key("second"))

    trust.mesh.statements.object_received(ObjectKind.SUCCESSION, introduced)
    trust.trust_changed()
    shown = installed(links)
    assert shown.authorities == (second.der, CA.authority.der)
    assert shown.greeting == build_showing([second.der, CA.authority.der], [introduced])
    assert links.sessions_renewed == 0

    trust.mesh.statements.object_received(ObjectKind.RETIREMENT, retired)
    trust.trust_changed()
    assert installed(links).authorities == (second.der, CA.authority.der)
    assert installed(links).greeting == build_showing([second.der], [introduced, retired])
    assert links.sessions_renewed == 1
    task = asyncio.ensure_future(trust.run())
    async with asyncio.timeout(10):
        while installed(links).authorities != (second.der,):
            await asyncio.sleep(0)
    task.cancel()
    trust.trust_changed()
    assert installed(links).authorities == (second.der,)
    assert links.sessions_renewed == 1


def installed(links: FakeLinks) -> Trust:
    assert links.trust is not None
    return links.trust
