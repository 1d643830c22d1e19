"""A backup is whole and secret, taken beside a writer; what is put back was checked and asked for."""

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from pulse.core.trust.ca import Issuer
from pulse.core.trust.certificates import parse
from pulse.core.trust.join import build_csr
from pulse.errors import Conflict, Damaged, NotFound, Refused
from pulse.store import authority, backup, identity, peers
from pulse.store.files import checked, lock, open_data_dir, read_file, write_file
from pulse.store.identity import Identity
from pulse.store.ledger import Ledger
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, NOW, key, secret, token

MASTER = "master-token-of-thirty-two-characters-or-more"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A CA at work: its own node, two tokens, a network config."""
    place = open_data_dir(tmp_path / "data")
    authority.found(place, "mynet", MESH, NOW)
    issuer = authority.open_issuer(place)
    with authority.open_ledger(place, issuer) as ledger:
        der = ledger.enrol_own(issuer, build_csr(key("own")), "box", now=NOW, serial=11)
        ledger.add_token(token("t", max_uses=1))
        ledger.set_master(MASTER, NOW)
    identity.save(place, Identity(key("own"), parse(der), issuer.authorities))
    NetworkStore(place).save_roles(3, b"roles as signed")
    return place


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "ca.backup"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


def opened(place: Path) -> tuple[Issuer, Ledger]:
    issuer = authority.open_issuer(place)
    return issuer, authority.open_ledger(place, issuer)


def test_what_was_saved_comes_back_elsewhere(data_dir: Path, target: Path, elsewhere: Path) -> None:
    saved = backup.save(data_dir, target, NOW + 5)
    assert (saved.entries, saved.made) == (4, NOW + 5)
    assert target.stat().st_mode & 0o777 == 0o600
    found = backup.put_back(elsewhere, target, NOW + 9)
    assert (found.network, found.made, found.entries, found.tokens_revoked) == (saved.network, NOW + 5, 4, 2)
    assert found.master_revoked

    issuer, ledger = opened(elsewhere)
    with ledger:
        assert issuer.network.label == saved.network
        assert ledger.verify().broken is None
        assert ledger.entries()[-1].event == "ledger put back from a backup"
        assert ledger.master() is None
        assert [each.revoked for each in ledger.tokens()] == [NOW + 9] * 2, "how often they were used, nobody knows"
        with pytest.raises(Refused, match=r"master token was revoked.*\n.*--ca-token"):
            ledger.set_master(MASTER, NOW + 10)
        ledger.set_master(secret("another"), NOW + 10)
        assert ledger.master() == secret("another")
    assert identity.load(elsewhere).certificate.is_ca
    assert NetworkStore(elsewhere).load_roles().data == b"roles as signed"
    assert authority.is_put_back(elsewhere)
    assert sorted(path.name for path in elsewhere.iterdir()) == ["ca", "identity", "lock", "network"]
    loose = [path for path in elsewhere.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert loose == []


def test_it_is_taken_beside_a_daemon_that_writes(data_dir: Path, target: Path, elsewhere: Path) -> None:
    issuer, ledger = opened(data_dir)
    with lock(data_dir), ledger:
        ledger.add_token(token("second"))
        backup.save(data_dir, target, NOW)
        ledger.add_token(token("third"))
        assert issuer.network.name == "mynet"
    assert backup.put_back(elsewhere, target, NOW, alone=True).entries == 5
    assert not authority.is_put_back(elsewhere)
    _, back = opened(elsewhere)
    with back:
        assert len(back.tokens()) == 3
    assert {path.name for path in (data_dir / "ca").iterdir()} <= {
        *("key", "certificate", "range", "journal.head", "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm")
    }


def test_what_is_written_while_it_is_read_is_in_it_wholly_or_not_at_all(
    data_dir: Path, target: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ledger = opened(data_dir)
    store, held = NetworkStore(data_dir), identity.load(data_dir)
    written: list[int] = []

    def read_slowly(path: Path) -> bytes:
        if path.name == "certificate" and len(written) < 9:
            # A daemon makes a token, an edit, which prunes an older config, and renews its certificate.
            written.append(len(written) + 1)
            ledger.add_token(token(f"t{written[-1]}"))
            store.save_config(1, written[-1], b"%d" % written[-1])
            identity.save(data_dir, replace(held, time_floor=float(written[-1])))
        return read_file(path)

    with ledger, monkeypatch.context() as slow:
        slow.setattr(backup, "read_file", read_slowly)
        backup.save(data_dir, target, NOW)
    backup.put_back(elsewhere, target, NOW, alone=True)
    _, back = opened(elsewhere)
    with back:
        assert len(back.tokens()) == 2 + len(written)
    assert NetworkStore(elsewhere).load_config().data == b"%d" % written[-1]
    assert identity.load(elsewhere).time_floor == written[-1]


def test_whom_it_knew_comes_back_where_nobody_was_known(data_dir: Path, target: Path, elsewhere: Path) -> None:
    def known(machine: str) -> list[peers.KnownPeer]:
        return [peers.KnownPeer(machine, machine, ["192.0.2.1:8443"], b"certificate")]

    assert backup.put_back(elsewhere, saved(data_dir, target), NOW).peers == 0
    peers.save(data_dir, known("before"))
    backup.save(data_dir, target.with_name("later"), NOW)
    assert backup.put_back(elsewhere, target.with_name("later"), NOW, force=True).peers == 1
    assert peers.load(elsewhere)[0] == known("before")
    peers.save(elsewhere, known("since"))
    backup.put_back(elsewhere, target.with_name("later"), NOW + 1, force=True)
    assert peers.load(elsewhere)[0] == known("since")


def saved(data_dir: Path, target: Path) -> Path:
    backup.save(data_dir, target, NOW)
    return target


def test_a_ca_that_never_rests_is_not_copied_by_halves(
    data_dir: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, turns = NetworkStore(data_dir), count()

    def read_slowly(path: Path) -> bytes:
        store.save_config(1, next(turns), b"x")
        return read_file(path)

    monkeypatch.setattr(backup, "read_file", read_slowly)
    monkeypatch.setattr(backup, "_TRIES", 3)
    with pytest.raises(Conflict, match=r"so much just now.*\nTry again"):
        backup.save(data_dir, target, NOW)
    assert not target.exists()


def test_what_a_crash_left_of_an_earlier_backup_goes_and_a_renewal_it_cut_short_is_finished(
    data_dir: Path, target: Path, elsewhere: Path
) -> None:
    left = target.with_name(f".{target.name}.0123abcd.new")
    left.write_bytes(b"the CA's key")
    (data_dir / "identity").rename(data_dir / "identity.next")
    (data_dir / "identity.old").mkdir()
    backup.save(data_dir, target, NOW)
    assert sorted(path.name for path in target.parent.iterdir()) == ["ca.backup", "data"]
    backup.put_back(elsewhere, target, NOW)
    assert identity.load(elsewhere).certificate.is_ca


def test_a_ca_that_is_there_stays_unless_it_is_moved_aside_by_force(data_dir: Path, target: Path) -> None:
    backup.save(data_dir, target, NOW)
    with pytest.raises(Conflict, match="--force"):
        backup.put_back(data_dir, target, NOW)
    _, ledger = opened(data_dir)
    with ledger:
        ledger.add_token(token("later"))
    backup.put_back(data_dir, target, NOW, force=True)
    assert (data_dir / f"ca.replaced-{NOW:.0f}" / "key").exists()
    _, back = opened(data_dir)
    with back:
        assert len(back.tokens()) == 2


def test_nothing_is_put_back_under_a_daemon(data_dir: Path, target: Path) -> None:
    backup.save(data_dir, target, NOW)
    with lock(data_dir), pytest.raises(Conflict, match="another pulse"):
        backup.put_back(data_dir, target, NOW, force=True)


def test_a_backup_is_never_written_over_and_needs_a_ca(data_dir: Path, target: Path, elsewhere: Path) -> None:
    backup.save(data_dir, target, NOW)
    with pytest.raises(Conflict, match="there already"):
        backup.save(data_dir, target, NOW)
    with pytest.raises(NotFound, match="there is no CA"):
        backup.save(open_data_dir(elsewhere), target.with_name("other"), NOW)


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-1],
        lambda data: data[:-9] + bytes((data[-9] ^ 1,)) + data[-8:],
        lambda _: checked("ca-backup", b"\x93no"),
        lambda data: checked("ca-backup", data[data.find(b"\n") + 1 :].replace(b"ca/range", b"../range")),
        lambda data: checked(
            "ca-backup", data[data.find(b"\n") + 1 :].replace(b"identity/key.pem", b"identity/not.pem")
        ),
        lambda data: checked("ca-backup", data[data.find(b"\n") + 1 :].replace(b"mynet", b"other", 1)),
    ],
    ids=["cut", "a bit off", "no backup", "a path outside", "a file missing", "another network"],
)
def test_a_harmed_backup_is_refused_and_leaves_nothing(
    data_dir: Path, target: Path, elsewhere: Path, harm: Callable[[bytes], bytes]
) -> None:
    backup.save(data_dir, target, NOW)
    write_file(target, harm(read_file(target)))
    with pytest.raises(Damaged):
        backup.put_back(elsewhere, target, NOW)
    assert [path for path in elsewhere.iterdir() if path.name != "lock"] == [] if elsewhere.exists() else True


def test_a_backup_others_can_read_is_refused(data_dir: Path, target: Path, elsewhere: Path) -> None:
    backup.save(data_dir, target, NOW)
    target.chmod(0o644)
    with pytest.raises(Refused, match="chmod 600"):
        backup.put_back(elsewhere, target, NOW)


def test_a_broken_journal_is_not_backed_up(data_dir: Path, target: Path) -> None:
    with sqlite3.connect(data_dir / "ca" / "ledger.sqlite") as ledger:
        ledger.execute("UPDATE journal SET entry = replace(entry, 'own', 'pwn') WHERE seq = 2")
        ledger.execute("UPDATE journal SET entry = entry || ' ' WHERE seq = 2")
    ledger.close()
    with pytest.raises(Damaged, match="journal is broken: entry 2 was changed"):
        backup.save(data_dir, target, NOW)
    assert not target.exists()


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_restore_that_was_cut_short_is_seen_and_can_be_run_again(
    data_dir: Path, target: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    backup.save(data_dir, target, NOW)
    backup.check_whole(data_dir)
    replace = backup._replace
    moved: list[Path] = []

    def killed(place: Path, fresh: Path, now: float) -> None:
        if len(moved) == done:
            raise KeyboardInterrupt
        moved.append(place)
        replace(place, fresh, now)

    with monkeypatch.context() as short:
        short.setattr(backup, "_replace", killed)
        if done == len(backup._DIRECTORIES):
            short.setattr(shutil, "rmtree", lambda _, **__: None)
            backup.put_back(data_dir, target, NOW + 1, force=True)
        else:
            with pytest.raises(KeyboardInterrupt):
                backup.put_back(data_dir, target, NOW + 1, force=True)
    with pytest.raises(Refused, match=r"cut short.*\nRun it again: pulse ca restore"):
        backup.check_whole(data_dir)
    if authority.exists(data_dir):
        with pytest.raises(Refused, match="cut short"):
            backup.save(data_dir, target.with_name("other"), NOW)
    backup.put_back(data_dir, target, NOW + 2, force=True)
    backup.check_whole(data_dir)
    assert authority.is_put_back(data_dir)
    assert identity.load(data_dir).certificate.is_ca
