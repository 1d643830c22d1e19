"""`pulse ca rotate`: it asks, it begins, and it says how far it is."""

import json
from pathlib import Path

from msgspec import structs

from pulse import clock
from pulse.core.trust.certificates import parse
from pulse.core.trust.join import build_csr
from pulse.schemas.cert import AwaitedNode
from pulse.store import authority, identity
from pulse.store.identity import Identity
from tests.api.fake_control import FakeControl
from tests.authority import MESH, key
from tests.cli.shell import Shell


def test_a_script_has_to_say_that_it_means_it(shell: Shell, control: FakeControl) -> None:
    done = shell.node("ca", "rotate")
    assert done.code == 2
    assert "--yes" in done.err
    assert control.rotation.told.step == "done"


def test_it_is_shown_how_far_it_is_and_who_is_waited_for(shell: Shell, control: FakeControl) -> None:
    assert "none under way" in shell.node("ca", "rotate", "--status").out
    begun = shell.node("ca", "rotate", "--yes").out
    assert begun.startswith(shell.node("ca", "rotate", "--status").out)
    for part in ("2 of 3", "replaced 1 time", "it is retired", "laptop", "away", "1970-01-01", "and 2 more", "revoke"):
        assert part in begun
    told = json.loads(shell.node("ca", "rotate", "--status", "--json").out)
    assert (told["step"], told["awaited"][0]["name"]) == ("renewing", "laptop")


def test_a_second_one_is_refused(shell: Shell, control: FakeControl) -> None:
    shell.node("ca", "rotate", "-y")
    done = shell.node("ca", "rotate", "--yes")
    assert (done.code, "replaced already" in done.err) == (4, True)


def test_who_does_not_follow_is_named_with_the_way_to_go_on_without_it(shell: Shell, control: FakeControl) -> None:
    shell.node("ca", "rotate", "--yes")
    stuck = AwaitedNode("7" * 64, "cam-7", True, 2000.0, overdue=True)
    control.rotation.told = structs.replace(control.rotation.told, awaited=[*control.rotation.told.awaited, stuck])
    told = shell.node("ca", "rotate", "--status").out
    for part in ("stuck", "not following: cam-7", "pulse ca rotate --without cam-7"):
        assert part in told

    asked = shell.node("ca", "rotate", "--without", "cam-7", "--without", "db")
    assert (asked.code, "pulse ca rotate --without cam-7 --without db --yes" in asked.err) == (2, True)
    assert control.rotation.told.without == (), "a script has to say that it means it"

    done = shell.node("ca", "rotate", "--without", "cam-7", "--without", "db", "--yes")
    assert done.code == 0
    for part in ("without  cam-7, db", "cut off once the old key is retired", "pulse invite", "pulse revoke --node"):
        assert part in done.out
    assert "Earlier backups" not in done.out, "no key was made"
    assert len(json.loads(shell.node("ca", "rotate", "--status", "--json").out)["without"]) == 2


def test_going_on_without_a_node_begins_nothing_and_wants_one_that_is_there(shell: Shell, control: FakeControl) -> None:
    for other in ("--status", "--backup=ca.backup"):
        done = shell.node("ca", "rotate", "--without", "cam-7", other, "--yes")
        assert (done.code, "--without begins nothing" in done.err) == (2, True)
    done = shell.node("ca", "rotate", "--without", "nobody", "--yes")
    assert (done.code, 'no node is called "nobody"' in done.err) == (4, True)
    assert control.rotation.told.step == "done"


def test_a_backup_with_the_new_key_is_written_or_asked_for(shell: Shell, control: FakeControl, tmp_path: Path) -> None:
    now = clock.wall()
    authority.found(shell.data_dir, "home", MESH, now)
    issuer = authority.open_issuer(shell.data_dir)
    with authority.open_ledger(shell.data_dir, issuer) as ledger:
        der = ledger.enrol_own(issuer, build_csr(key("own")), "box", now=now, serial=3)
    identity.save(shell.data_dir, Identity(key("own"), parse(der), issuer.authorities))
    file = tmp_path / "ca.backup"
    file.write_text("there already")
    refused = shell.node("ca", "rotate", "--yes", "--backup", str(file))
    assert (refused.code, control.rotation.told.step) == (2, "done"), "nothing is begun for it"
    file.unlink()

    done = shell.node("ca", "rotate", "--yes", "--backup", str(file))

    assert (done.code, "holds the new key" in done.out) == (0, True), done.err
    assert file.stat().st_mode & 0o777 == 0o600
    control.rotation.told = type(control.rotation)().told
    assert "Type next: pulse ca backup" in shell.node("ca", "rotate", "--yes").out


def test_nothing_is_begun_for_a_backup_that_cannot_be_written(
    shell: Shell, control: FakeControl, tmp_path: Path
) -> None:
    done = shell.node("ca", "rotate", "--yes", "--backup", str(tmp_path / "ca.backup"))

    assert (done.code, f"there is no CA in {shell.data_dir}" in done.err) == (4, True)
    assert control.rotation.told.step == "done"
