"""Governance: what takes the CA's key is there on the CA alone; the whole works in tests/test_node_roles.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pulse import clock
from pulse.assembly import governance as govern
from pulse.assembly.governance import Governance
from pulse.core.facts import ChainShown
from pulse.core.trust.authorities import sign_succession
from pulse.core.trust.ca import LEAF_LIFETIME, make_authority
from pulse.errors import Refused
from pulse.schemas.revoke import RevokeRequest
from pulse.schemas.roles import RoleRequest
from pulse.services import enrol
from pulse.services.netconfig import ConfigService
from pulse.services.recovery import RecoveryService
from pulse.store import authority
from pulse.store.files import open_data_dir
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, key
from tests.killpoints.damage import started

NETCONFIG = ConfigService(SimpleNamespace(), SimpleNamespace(), lambda _: None)  # type: ignore[arg-type]


def governance(ca: Any, calls: list[str]) -> Governance:
    def service(name: str) -> Any:
        return SimpleNamespace(
            answer=name,
            claim=name,
            restore=lambda: calls.append(f"{name} restored"),
            join=name,
            renew=name,
            changed=lambda: calls.append(name),
            get=NETCONFIG.get,
        )

    names = ("netconfig", "scribe", "edits", "revoke", "roles", "tokens")
    netconfig, scribe, edits, revoke, roles, tokens = map(service, names)
    further = ("bulk", "whole", "file", "templates", "keys", "hits", "keys of the CA")
    others = (*map(service, further), service("ca") if ca else None)
    return Governance(netconfig, scribe, edits, revoke, roles, tokens, *others)


def test_joins_and_claims_are_answered_on_the_ca_alone() -> None:
    member, keeper = (set(governance(ca, []).methods) for ca in (False, True))
    assert member == {"config.get", "config.edit", "revoke"}
    assert keeper - member == {"join", "renew", "roles.claim", "tokens"}


def test_what_is_in_force_is_told_to_who_writes_and_who_waits() -> None:
    calls: list[str] = []
    governance(None, calls).changed()
    assert calls == ["scribe", "edits"]


def test_at_the_start_the_ledger_speaks_before_what_is_in_force_is_told() -> None:
    calls: list[str] = []
    governance(None, calls).wake()
    assert calls == ["revoke restored", "scribe", "edits"]


@pytest.mark.parametrize(("put_back", "signed"), [(True, False), (False, True)])
def test_a_ca_put_back_from_a_backup_signs_no_roles_as_it_starts(
    tmp_path: Path, *, put_back: bool, signed: bool
) -> None:
    place = open_data_dir(tmp_path / "data")
    held = enrol.found(place, "mynet", MESH, "ca")
    if put_back:
        authority.mark_put_back(place)
    config = SimpleNamespace(
        data_dir=place, ca=SimpleNamespace(cert_life=LEAF_LIFETIME), scribe=SimpleNamespace(enabled=True), ca_token=""
    )
    opened = govern._authority(config, held)  # type: ignore[arg-type]
    assert opened is not None
    opened.ledger.close()
    assert (NetworkStore(place).load_roles().data is not None) is signed


async def test_a_ca_put_back_whose_backup_and_mesh_name_no_scribe_is_the_scribe_it_was_started_to_be(
    tmp_path: Path,
) -> None:
    place = tmp_path / "data"
    enrol.found(open_data_dir(place), "harmed", MESH, "first")
    authority.mark_put_back(place)
    async with started(place) as made:
        statements = made.mesh.mesh.statements
        recovery = next(each for each in made.services if isinstance(each, RecoveryService))
        assert (statements.config, statements.roles.scribe) == (None, None), "till then the mesh may know newer ones"

        recovery.restate()

        assert statements.config is not None
        assert statements.roles.scribe == made.mesh.mesh.me.node_id


async def test_a_ca_whose_key_the_network_replaced_gives_no_roles_revokes_nobody_and_states_nothing(
    tmp_path: Path,
) -> None:
    place = tmp_path / "data"
    enrol.found(open_data_dir(place), "harmed", MESH, "first")
    issuer = authority.open_issuer(place)
    authority.mark_put_back(place)
    later = make_authority(key("later"), "harmed", clock.wall(), 5, issuer.network.ca_hash)
    async with started(place) as made:
        recovery = next(each for each in made.services if isinstance(each, RecoveryService))
        made.mesh.tell(ChainShown((sign_succession(issuer.network, issuer.signer, later),)))
        appointer, revoker = made.control.roles, made.control.revoke
        for ask in (
            appointer.grant(RoleRequest("first", "operator")),
            revoker.revoke(RevokeRequest("a" * 64)),
        ):
            with pytest.raises(Refused, match="newer backup"):
                await ask
        with pytest.raises(Refused, match="newer backup"):
            recovery.restate()
        assert NetworkStore(place).load_roles().data is None
