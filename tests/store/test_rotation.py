"""Each step of a replacement of the CA's key is on disk whole or not at all, and leads on from wherever it was cut."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from pulse.core.trust.authorities import SUCCESSIONS_LIMIT
from pulse.core.trust.certificates import parse
from pulse.core.trust.identity import mesh_v6, public_bytes
from pulse.core.trust.rotation import Step
from pulse.core.types import MeshAddresses
from pulse.errors import Refused
from pulse.store import authority, backup, identity, rotation, succession
from pulse.store.files import open_data_dir, write_checked
from pulse.store.identity import Identity
from tests.authority import MESH, NOW, Ca, key, node


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    place = open_data_dir(tmp_path / "data")
    authority.found(place, "mynet", MESH, NOW)
    return place


def step(data_dir: Path) -> Step:
    return succession.read(data_dir / "ca").step


def begin(data_dir: Path) -> None:
    rotation.begin(data_dir, authority.open_issuer(data_dir), NOW)


def finish(data_dir: Path) -> None:
    rotation.sign_with_next_key(data_dir)
    rotation.retire_key(data_dir)
    rotation.finish(data_dir)


def test_the_key_that_signs_follows_the_steps(data_dir: Path) -> None:
    first = authority.open_issuer(data_dir)
    assert (step(data_dir), first.successions, first.older) == (Step.DONE, (), ())
    begin(data_dir)
    introducing = authority.open_issuer(data_dir)
    assert introducing.authority == first.authority
    assert len(introducing.trusted) == 2, "who joins now believes both"
    rotation.sign_with_next_key(data_dir)
    renewing = authority.open_issuer(data_dir, 60.0)
    assert renewing.authority not in (first.authority, None)
    assert renewing.network == first.network
    assert (renewing.trusted[0], renewing.older, renewing.life) == (renewing.authority, (first.authority.der,), 60.0)
    rotation.retire_key(data_dir)
    retiring = authority.open_issuer(data_dir)
    assert retiring.trusted == (renewing.authority,)
    rotation.finish(data_dir)
    done = authority.open_issuer(data_dir)
    assert (done.authority, done.successions, done.trusted) == (
        *(renewing.authority, retiring.successions, retiring.trusted),
    )
    held = succession.read(data_dir / "ca")
    assert (held.step, held.key, held.number) == (Step.DONE, b"", 1)
    assert public_bytes(done.signer) != public_bytes(first.signer)
    assert (data_dir / "ca" / "succession").stat().st_mode & 0o777 == 0o600


def test_the_last_step_cut_anywhere_is_done_again(data_dir: Path) -> None:
    begin(data_dir)
    rotation.sign_with_next_key(data_dir)
    rotation.retire_key(data_dir)
    held = succession.read(data_dir / "ca")
    signs = authority.open_issuer(data_dir).authority
    write_checked(data_dir / "ca" / "key", "ca-key", held.key)
    assert authority.open_issuer(data_dir).authority == signs, "key and certificate are of two CAs, and neither is read"
    for _ in range(2):
        rotation.finish(data_dir)
        assert authority.open_issuer(data_dir).authority == signs
    assert step(data_dir) is Step.DONE


def test_it_can_be_replaced_again_and_again_and_then_no_more(data_dir: Path) -> None:
    for _ in range(SUCCESSIONS_LIMIT):
        begin(data_dir)
        finish(data_dir)
    issuer = authority.open_issuer(data_dir)
    assert len(issuer.trusted) == 1
    with pytest.raises(Refused, match="can be replaced 15 times"):
        begin(data_dir)
    assert step(data_dir) is Step.DONE


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_backup_taken_in_between_goes_on_from_there(data_dir: Path, tmp_path: Path, steps: int) -> None:
    first = authority.open_issuer(data_dir)
    addresses = MeshAddresses(IPv4Address("10.100.1.2"), mesh_v6(first.network, node("a")))
    leaf = first.issue(replace(Ca().grant("a"), addresses=addresses, is_ca=True), 5)
    identity.save(data_dir, Identity(key("a"), parse(leaf), first.authorities))
    for act in (begin, rotation.sign_with_next_key, rotation.retire_key)[:steps]:
        act(data_dir)
    backup.save(data_dir, tmp_path / "file", NOW)
    other = tmp_path / "other"
    backup.put_back(other, tmp_path / "file", NOW)
    assert step(other) is step(data_dir)
    assert authority.open_issuer(other).authority == authority.open_issuer(data_dir).authority


def test_who_was_given_up_is_kept_over_each_step_and_forgotten_at_the_end(data_dir: Path) -> None:
    begin(data_dir)
    rotation.go_on_without(data_dir, [node("bob")])
    rotation.sign_with_next_key(data_dir)
    rotation.go_on_without(data_dir, [node("alice"), node("bob")])
    rotation.retire_key(data_dir)
    assert succession.read(data_dir / "ca").without == (node("bob"), node("alice"))
    rotation.finish(data_dir)
    assert succession.read(data_dir / "ca").without == ()
    begin(data_dir)
    assert succession.read(data_dir / "ca").without == ()


def test_a_replacement_begun_by_a_release_that_gave_nobody_up_goes_on(data_dir: Path) -> None:
    begin(data_dir)
    held = succession.read(data_dir / "ca")
    before = (held.step, held.statements, held.key, held.certificate, held.begun)
    write_checked(data_dir / "ca" / "succession", "ca-succession", msgspec.msgpack.encode(before))
    assert succession.read(data_dir / "ca") == held
