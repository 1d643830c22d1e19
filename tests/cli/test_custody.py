"""`pulse ca backup|restore|sign`: what is typed reaches the files, and what is said fits them."""

import json
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.trust.certificates import parse
from pulse.core.trust.join import build_csr
from pulse.errors import Conflict, NotFound
from pulse.store import authority, identity
from pulse.store.files import open_data_dir
from pulse.store.identity import Identity
from tests.authority import MESH, key, node, token
from tests.cli.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A home in which a CA lives that nobody runs."""
    shell = Shell(tmp_path)
    place = open_data_dir(shell.data_dir)
    now = clock.wall()
    authority.found(place, "home", MESH, now)
    issuer = authority.open_issuer(place)
    with authority.open_ledger(place, issuer) as ledger:
        der = ledger.enrol_own(issuer, build_csr(key("own")), "box", now=now, serial=3)
        ledger.add_token(token("t"))
    identity.save(place, Identity(key("own"), parse(der), issuer.authorities))
    return shell


def test_a_backup_and_its_return_are_told(shell: Shell, tmp_path: Path) -> None:
    file, place = str(tmp_path / "ca.backup"), str(tmp_path / "second")
    saved = shell.pulse("ca", "backup", file, "--data-dir", str(shell.data_dir))
    assert (saved.code, "CA of home with 3 journal entries" in saved.out) == (0, True), saved.err
    assert Path(file).stat().st_mode & 0o777 == 0o600
    back = shell.pulse("ca", "restore", file, "--data-dir", place)
    assert (back.code, "1 tokens are revoked" in back.out, "Start it" in back.out) == (0, True, True), back.err
    assert "pulse start --ca <host:port of any node>" in back.out, "it knew nobody"
    again = shell.pulse("ca", "restore", file, "--data-dir", place)
    assert (again.code, "--force" in again.err) == (Conflict.exit_code, True)
    by_force = shell.pulse("ca", "restore", file, "--force", "--data-dir", place).out
    assert "with the CA's private key of then. Once the CA runs well:\n  rm -r /" in by_force
    removed = by_force.splitlines()[-1].split()[2:]
    assert sorted(Path(each).name.partition(".")[0] for each in removed) == ["ca", "identity", "network"]
    assert all((Path(each).stat().st_mode & 0o777) == 0o700 for each in removed)
    assert (
        json.loads(shell.pulse("ca", "restore", file, "--force", "--json", "--data-dir", place).out)["network"]
        == "home"
    )


def test_without_a_ca_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    done = Shell(tmp_path).pulse(
        "ca", "backup", str(tmp_path / "file"), "--data-dir", str(open_data_dir(tmp_path / "no"))
    )
    assert (done.code, "there is no CA" in done.err) == (NotFound.exit_code, True)


def test_a_certificate_is_signed_without_a_network(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "node.csr").write_bytes(build_csr(key("a")))
    asked = ("ca", "sign", "--ca-dir", str(shell.data_dir), "--csr", str(tmp_path / "node.csr"), "--name", "db")
    printed = shell.pulse(*asked)
    assert printed.out.count("BEGIN CERTIFICATE") == 2, printed.err
    out = tmp_path / "node.pem"
    told = shell.pulse(*asked, "--tag", "prod", "--out", str(out))
    assert "certificate for db, 10.100." in told.out, told.err
    assert (out.stat().st_mode & 0o777, out.read_text().count("BEGIN CERTIFICATE")) == (0o600, 2)
    assert json.loads(shell.pulse(*asked, "--json").out)["id"] == node("a")
