"""PULSE_DATA_DIR says which node is meant, to every command that takes --data-dir."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse import certfile, clock, custody
from pulse.cli.app import _run
from pulse.cli.values import place_of
from pulse.core.trust.certificates import parse
from pulse.core.trust.join import build_csr
from pulse.errors import ConfigError, PulseError
from pulse.store import authority, identity
from pulse.store.files import open_data_dir
from pulse.store.identity import Identity
from tests.authority import MESH, key
from tests.cli.test_reads import TREE

STARTS = {"start", "join"}
"""These have it among all settings of a node."""

LINES = sorted(line for line, flags in TREE.items() if "--data-dir" in flags and line not in STARTS)

GIVEN = {
    "ping": "db", "trace": "db", "why": "db", "connect": "--node db --dest :22",
    "forward": "--node db --dest :22 --local :7001", "name": "db db", "tag": "db db", "untag": "db db",
    "acl test add": "--from db --to db", "acl test remove": "1", "acl add": "--from db --to db", "acl remove": "1",
    "acl move": "1 2", "acl explain": "db db:22", "acl diff": "{rules}", "groups set": "db db", "groups remove": "db",
    "dns add": "db A 10.0.0.1", "dns remove": "db A", "route add": "db 10.0.0.0/24", "route approve": "10.0.0.0/24",
    "route remove": "10.0.0.0/24", "config plan": "{config}", "config apply": "{config} --yes",
    "remote-config": "--node db tun.fec=yes", "bulk": "* revoke --yes", "pin": "db db", "unpin": "db",
    "revoke": "db --force", "token revoke": "db", "template set": "db", "template remove": "db", "api-key create": "db",
    "api-key revoke": "db", "ca grant": "db operator", "ca ungrant": "db operator", "ca rotate": "--yes",
    "ca backup": "{new}", "ca restore": "{backup}", "cert install": "{certificate}", "bug-report": "-o {new}",
}  # fmt: skip
"""What a command needs to be run."""

QUIET = {"ca backup", "cert request", "cert install", "doctor"}
"""These do what they are for and name no directory, unless it is one where there is no node."""


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of who names none; it is not there."""
    place = tmp_path / "usual"
    for module in ("pulse.settings", "pulse.cli.values"):
        monkeypatch.setattr(f"{module}.default_data_dir", lambda: place)
    return place


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The one that the environment names, with a CA in it that nobody runs."""
    place = _founded(tmp_path / "named")
    monkeypatch.setenv("PULSE_DATA_DIR", str(place))
    monkeypatch.setattr("pulse.cli.top.is_terminal", lambda: True)
    before = os.umask(0o077)
    yield place
    os.umask(before)


@pytest.mark.parametrize("line", LINES)
def test_the_variable_counts(
    line: str, named: Path, usual: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = _files(named, tmp_path)

    try:
        _run([*line.split(), *GIVEN.get(line, "").format(**files).split()])
        said = ""
    except PulseError as error:
        said = str(error)
    said += "".join(capsys.readouterr())
    if line == "bug-report":
        with tarfile.open(files["new"]) as packed:
            said = "".join(str(each.read()) for name in packed.getnames() if (each := packed.extractfile(name)))

    assert str(named) in said or line in QUIET, said
    assert str(usual) not in said
    assert not usual.exists()


def test_the_file_of_settings_says_it_where_nobody_else_does(
    tmp_path: Path, usual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pulse.toml"
    monkeypatch.delenv("PULSE_DATA_DIR", raising=False)
    monkeypatch.setenv("PULSE_CONFIG", str(file))
    with pytest.raises(ConfigError, match=r"pulse\.toml"):
        place_of(None)
    file.write_text(f'[node]\ndata_dir = "{tmp_path}/told"\n')
    assert place_of(None) == tmp_path / "told"
    monkeypatch.setenv("PULSE_DATA_DIR", str(tmp_path / "variable"))
    assert place_of(None) == tmp_path / "variable"
    assert place_of(tmp_path / "flag") == tmp_path / "flag"


def test_who_says_nothing_has_the_usual_one(usual: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULSE_DATA_DIR", raising=False)
    monkeypatch.delenv("PULSE_CONFIG", raising=False)
    assert place_of(None) == usual


def _founded(place: Path) -> Path:
    now = clock.wall()
    authority.found(open_data_dir(place), "home", MESH, now)
    issuer = authority.open_issuer(place)
    with authority.open_ledger(place, issuer) as ledger:
        der = ledger.enrol_own(issuer, build_csr(key("own")), "box", now=now, serial=3)
    identity.save(place, Identity(key("own"), parse(der), issuer.authorities))
    return place


def _files(named: Path, directory: Path) -> dict[str, str]:
    """Paths of what commands are given, by what they are called in `GIVEN`."""
    files = {each: directory / each for each in ("rules", "config", "new", "backup", "certificate")}
    files["rules"].touch()
    files["config"].write_text(f'[settings]\nmesh_cidr = "{MESH}"\nnetwork = "home"\n')
    custody.save(named, files["backup"])
    request = directory / "request"
    request.write_bytes(certfile.request(named))
    files["certificate"].write_text(custody.sign(named, request, name="box", tags=(), force_time=False).pem)
    return {name: str(path) for name, path in files.items()}
