"""A disk that is full, read-only or dying: who asks for a change hears so, nothing half-done is told to anybody, and
the node goes on and is whole again once its disk is.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pulse.calls.acls import AclCalls
from pulse.calls.apikeys import ApiKeyCalls
from pulse.calls.ca import CaCalls
from pulse.calls.events import EventCalls
from pulse.calls.names import NameCalls
from pulse.calls.revoke import RevokeCalls
from pulse.calls.tokens import TokenCalls
from pulse.core.trust.certificates import parse
from pulse.core.trust.join import build_csr
from pulse.errors import Conflict, SystemRefused
from pulse.lab.host import wait_until
from pulse.schemas.apikeys import ApiKeyRequest
from pulse.schemas.tokens import TokenRequest
from pulse.store import authority, backup, identity
from pulse.store.files import open_data_dir
from pulse.store.identity import Identity
from tests.authority import MESH, NOW, key
from tests.killpoints.disk import Disk, disk
from tests.killpoints.invariants import all_certificates_are_journaled, all_is_private_and_whole
from tests.killpoints.machine import PATIENCE, Machine, random_node
from tests.namespace import require_root

pytestmark = pytest.mark.e2e

Fault = Callable[[Disk, int], AbstractContextManager[None]]
FAULTS: dict[str, Fault] = {"full": Disk.full, "read-only": Disk.read_only, "broken": Disk.broken}


BACKUP_PAGES = 40
"""More than the files of a small CA take, laid out beside their places."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A CA that is scribe too, and a member, each with a disk of its own; machines that would join have the test's."""

    keeper: Machine
    member: Machine
    keepers: Disk
    members: Disk
    elsewhere: Path

    def tag(self, tag: str) -> None:
        """An edit."""
        with self.keeper.client as client:
            NameCalls(client).add_tag(client.identity().id, tag)

    def joins(self, name: str, token: str) -> tuple[int, str]:
        """How a new machine fares."""
        done = Machine.at(self.elsewhere / name).pulse("join", self.keeper.address, "--token", token)
        return done.code, done.err


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    require_root()
    with disk() as keepers, disk() as members:
        keeper, member = Machine.at(keepers.place / "data"), Machine.at(members.place / "data")
        keeper.start("--ca", "--scribe", "--scribe-listen", "off")
        try:
            assert member.pulse("join", keeper.pulse("invite").out.strip()).code == 0
            member.start()
            yield Scene(keeper, member, keepers, members, tmp_path_factory.mktemp("elsewhere"))
        finally:
            member.stop()
            keeper.stop()


def version(machine: Machine) -> str:
    with machine.client as client:
        return AclCalls(client).policy().version


def tokens(machine: Machine) -> dict[str, int]:
    with machine.client as client:
        return {each.id: each.uses for each in TokenCalls(client).list_tokens()}


def refusal(act: Callable[[], object]) -> str:
    """What a disk's refusal said."""
    with pytest.raises(SystemRefused) as refused:
        act()
    return str(refused.value)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_ca_and_scribe_whose_disk_fails_acknowledges_and_publishes_nothing(scene: Scene, fault: str) -> None:
    keeper = scene.keeper
    with keeper.client as client:
        made = TokenCalls(client).create_token(TokenRequest(max_uses=1))
    node = random_node()
    wait_until(lambda: version(scene.member) == version(keeper), "the two agree", PATIENCE)
    before, config = tokens(keeper), version(keeper)

    with FAULTS[fault](scene.keepers, keeper.pid):
        said = [refusal(lambda: scene.tag(f"t-{fault}"))]
        with keeper.client as client:
            said += [
                refusal(lambda: TokenCalls(client).create_token(TokenRequest())),
                refusal(lambda: RevokeCalls(client).revoke(node)),
            ]
        code, told = scene.joins(f"early-{fault}", made.token)
        # The ledger is open, so on a disk that is read-only by now it can still be written, and its journal's head not:
        # what was refused for that is done, and asking again says so.
        assert tokens(keeper) == before or (fault == "read-only" and before.keys() <= tokens(keeper).keys())
        assert version(keeper) == version(scene.member) == config

    assert all(str(keeper.data) in each and "See to the disk" in each for each in said), said
    assert code != 0
    assert "disk" in told, told
    scene.tag(f"t-{fault}")
    with keeper.client as client:
        with suppress(Conflict):
            RevokeCalls(client).revoke(node)
        assert CaCalls(client).ca_verify().broken is None
        assert EventCalls(client).events_verify().broken is None
    assert scene.joins(f"early-{fault}", made.token)[0] == 0
    all_certificates_are_journaled(keeper.data)
    all_is_private_and_whole(keeper.data)
    wait_until(lambda: version(scene.member) == version(keeper), "the member heard", PATIENCE)


def test_a_member_whose_disk_fails_goes_on_and_one_that_starts_on_a_full_disk_names_it(scene: Scene) -> None:
    member = scene.member
    for name, fault in FAULTS.items():
        with fault(scene.members, member.pid):
            scene.tag(f"m-{name}")
            wait_until(lambda: version(member) == version(scene.keeper), "it hears and follows all the same", PATIENCE)
            with member.client as client:
                wanted = ApiKeyRequest(f"k-{name}")
                said = refusal(lambda wanted=wanted, client=client: ApiKeyCalls(client).create_api_key(wanted))  # type: ignore[misc]  # defaults hide its type
                assert ApiKeyCalls(client).list_api_keys() == []
            assert str(member.data) in said
    member.stop()

    with scene.members.full(0):
        tried = member.pulse("start", "--listen", member.address)

    assert tried.code == SystemRefused.exit_code, tried
    assert f"cannot write {member.data}" in tried.err, tried
    assert "disk" in tried.err, tried
    member.start()
    wait_until(lambda: version(member) == version(scene.keeper), "it is up again and agrees", PATIENCE)
    all_is_private_and_whole(member.data)


def _files(place: Path) -> dict[str, bytes]:
    """All of a directory but its lock and what weighs its disk down."""
    left_out = {"lock", "ballast"}
    return {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file() and path.name not in left_out}


def test_a_ca_that_finds_no_room_to_be_put_back_leaves_nothing_behind_and_what_was_there_as_it_was(
    tmp_path: Path,
) -> None:
    require_root()
    made, file = open_data_dir(tmp_path / "made"), tmp_path / "ca.backup"
    authority.found(made, "mynet", MESH, NOW)
    issuer = authority.open_issuer(made)
    with authority.open_ledger(made, issuer) as ledger:
        der = ledger.enrol_own(issuer, build_csr(key("own")), "box", now=NOW, serial=1)
    identity.save(made, Identity(key("own"), parse(der), issuer.authorities))
    backup.save(made, file, NOW)
    with disk() as small:
        place = small.place / "data"
        backup.put_back(place, file, NOW)
        before, refused = _files(small.place), 0
        for pages in range(BACKUP_PAGES):
            with small.full(0, but_for=pages), suppress(SystemRefused):
                refused += 1
                backup.put_back(place, file, NOW, force=True)
                refused -= 1
            if refused > pages:
                assert _files(small.place) == before, pages
        assert 0 < refused < BACKUP_PAGES, "too full at first, and then not"
        before = _files(small.place)
        with small.read_only(0), pytest.raises(SystemRefused, match="Read-only file system"):
            backup.put_back(place, file, NOW + 1, force=True)
        assert _files(small.place) == before
        assert backup.put_back(place, file, NOW + 2, force=True).kept
