"""`pulse cert request|install`: what is typed reaches the files, and what is said fits them."""

import json
from pathlib import Path

from pulse import clock
from pulse.store import authority, identity
from pulse.store.files import open_data_dir
from tests.authority import MESH
from tests.cli.shell import Shell


def test_a_machine_is_made_a_member_by_hand(tmp_path: Path) -> None:
    shell, ca = Shell(tmp_path), open_data_dir(tmp_path / "ca")
    authority.found(ca, "home", MESH, clock.wall())
    place, csr, file = ("--data-dir", str(shell.data_dir)), str(tmp_path / "node.csr"), str(tmp_path / "cert.pem")
    assert csr in shell.pulse("cert", "request", "--out", csr, *place).out
    assert shell.pulse("cert", "request", *place).out == Path(csr).read_text(), "the key stays, and so does the request"
    assert shell.pulse("ca", "sign", "--ca-dir", str(ca), "--csr", csr, "--name", "db", "--out", file).code == 0
    done = shell.pulse("cert", "install", file, *place)
    assert (done.code, "certificate for db" in done.out, "pulse start --join" in done.out) == (0, True, True), done.err
    assert identity.load(shell.data_dir).certificate.name == "db"
    again = json.loads(shell.pulse("cert", "install", file, "--json", *place).out)
    assert (again["name"], again["is_new"]) == ("db", False)


def test_what_does_not_fit_is_an_error(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "nothing.pem").write_text("nothing")
    done = shell.pulse("cert", "install", str(tmp_path / "nothing.pem"), "--data-dir", str(shell.data_dir))
    assert (done.code, "holds no certificate" in done.err) == (3, True)
    odd = shell.pulse("cert", "request", "--out", str(tmp_path), "--data-dir", str(shell.data_dir))
    assert (odd.code, "cannot write" in odd.err) == (6, True)
