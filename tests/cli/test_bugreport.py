"""`pulse bug-report`: secrets are planted wherever one may be, and none is in the archive."""

import re
import tarfile
from pathlib import Path

import pytest

from pulse.errors import Conflict
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell

TOKEN = "k7Qp2vXz9LmN4rTb8WcY1sDf6GhJ3aE5"
CA_TOKEN = "q8Rt5vBn2KlM7xPc4ZsW1dFg6HjY9uE3"
ENVIRONMENT_TOKEN = "weak-word-of-mine"
INVITE = "pls_AQBfk6hyZWxheTo0NDMvQWJj"
PRINTED = "Zm9v" * 10 + "aB1." + "a" * 64
API_KEY = "plk_" + "kQ3" * 14
KEY_LINE = "MC4CAQAwBQYDK2VwBCIEIH9wZ1kQ3vTtYbXo"
PASSWORD = "proxypw99"
SECRETS = (TOKEN, CA_TOKEN, ENVIRONMENT_TOKEN, INVITE, PRINTED, API_KEY, KEY_LINE, PASSWORD)


@pytest.fixture
def planted(shell: Shell) -> Shell:
    """A data directory that has every secret there is, in places where they belong and where they do not."""
    data = shell.data_dir
    (data / "identity").mkdir(parents=True, mode=0o700)
    data.chmod(0o700)
    (data / "identity" / "key.pem").write_text(
        f"-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\n-----END PRIVATE KEY-----\n", encoding="ascii"
    )
    (data / "config.toml").write_text(
        f'[node]\naddr = "relay.example.com:443"\n[join]\ntoken = "{TOKEN}"\n[ca]\njoin_token = "{CA_TOKEN}"\n'
    )
    (data / "pulse.log").write_text(
        f"INFO joined with {INVITE} at 192.0.2.7:443\nDEBUG raw {KEY_LINE}\nWARNING token said: {PRINTED}\n"
        f"INFO key {API_KEY} used by [fd7a:91c2::33]:8443\nINFO proxy http://me:{PASSWORD}@proxy.example.com:3128\n"
        f"INFO {ENVIRONMENT_TOKEN} typed, and {TOKEN} too\n"
    )
    (data / "pulse.log.1").write_text(f"older: {CA_TOKEN}\n")
    shell.environment["PULSE_CA_TOKEN"] = ENVIRONMENT_TOKEN
    return shell


def report(shell: Shell, *flags: str) -> dict[str, str]:
    """Text by name of all parts."""
    path = shell.home / "report.tar.gz"
    done = shell.node("bug-report", "-o", str(path), *flags)
    assert (done.code, done.err) == (0, "")
    assert path.stat().st_mode & 0o077 == 0
    with tarfile.open(path) as archive:
        files = {each.name.split("/")[1]: archive.extractfile(each) for each in archive.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file}


def test_no_secret_is_in_it_wherever_it_was_planted(planted: Shell) -> None:
    parts = report(planted)

    everything = "\n".join(parts.values())
    assert [secret for secret in SECRETS if secret in everything] == []
    assert {"pulse.txt", "doctor.json", "config.json", "pulse.log", "pulse.log.1", "files.txt"} <= parts.keys()
    assert "192.0.2.7:443" in parts["pulse.log"], "addresses stay unless somebody says no"
    assert "identity/key.pem" in parts["files.txt"], "that there is a key is no secret"


def test_without_addresses_none_is_in_it_either(planted: Shell) -> None:
    everything = "\n".join(report(planted, "--no-addresses").values())

    found = {*re.findall(r"\b(?:\d{1,3}\.){3}\d{1,3}\b", everything)}
    assert not found & {"192.0.2.7"}
    assert all(each.startswith(("127.", "0.")) for each in found)
    assert "fd7a:91c2" not in everything
    assert "relay.example.com" not in everything


def test_no_link_is_followed_and_no_second_name_of_a_file(planted: Shell) -> None:
    data = planted.data_dir
    (planted.home / "shadow").write_text("root:hash-of-root:1::\n")
    for name in ("config.toml", "pulse.log.2"):
        (data / name).unlink(missing_ok=True)
        (data / name).symlink_to(planted.home / "shadow")
    (planted.home / "other").write_text("other:hash-of-other\n")
    (data / "pulse.log.3").hardlink_to(planted.home / "other")

    parts = report(planted)

    everything = "\n".join(parts.values())
    assert "hash-of" not in everything
    assert "symbolic links" in parts["config.json"]
    assert "left out" in parts["pulse.log.3"]


def test_settings_are_told_and_their_comments_are_not(planted: Shell) -> None:
    (planted.data_dir / "config.toml").write_text(
        f'# old token {TOKEN}\n# pw hunter22\n[node]\nname = "db"\n[socks]\nuser = "me"\npassword = "correct-horse"\n'
    )
    (planted.data_dir / "pulse.log").write_text("INFO typed correct-horse\n")

    parts = report(planted)

    assert '"name": "db"' in parts["config.json"]
    assert [word for word in (TOKEN, "hunter22", "correct-horse") if word in "\n".join(parts.values())] == []


def test_what_the_node_tells_is_in_it(shell: Shell, control: FakeControl) -> None:
    parts = report(shell)

    assert "All well. 2 nodes" in parts["status.json"]
    assert {"events.json", "policy.json", "certificate.json"} <= parts.keys()


def test_a_file_that_is_there_stays(shell: Shell) -> None:
    path = Path(shell.home / "report.tar.gz")
    path.write_text("mine")

    done = shell.node("bug-report", "-o", str(path))

    assert done.code == Conflict.exit_code
    assert path.read_text() == "mine"
