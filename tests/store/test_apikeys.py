"""The keys on disk: hashes only, durable, private, and no reason not to start."""

from pathlib import Path

import msgspec
import pytest

from pulse.core.trust.apikeys import MOST_KEYS, ApiKey, Scope, digest, key_from
from pulse.store import apikeys
from pulse.store.files import open_data_dir, write_checked

TEXT = key_from(bytes(range(32)))
KEYS = (ApiKey(digest(TEXT), "grafana", Scope.READ, 1000.0), ApiKey(digest("other"), "deploy", Scope.WRITE, 1001.0))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def test_keys_come_back_as_they_were_and_the_last_word_counts(data_dir: Path) -> None:
    assert apikeys.load(data_dir) == ((), None)

    apikeys.save(data_dir, KEYS)
    assert apikeys.load(data_dir) == (KEYS, None)

    apikeys.save(data_dir, KEYS[:1])
    assert apikeys.load(data_dir) == (KEYS[:1], None)


def test_the_file_is_private_and_holds_no_key(data_dir: Path) -> None:
    apikeys.save(data_dir, KEYS)

    file = data_dir / "api-keys"
    assert file.stat().st_mode & 0o777 == 0o600
    assert TEXT.encode() not in file.read_bytes()


def test_a_damaged_file_lets_nobody_in_and_says_what_to_do(data_dir: Path) -> None:
    apikeys.save(data_dir, KEYS)
    whole = (data_dir / "api-keys").read_bytes()
    (data_dir / "api-keys").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    found, warning = apikeys.load(data_dir)

    assert found == ()
    assert warning is not None
    assert warning.endswith("pulse api-key create <name>")


@pytest.mark.parametrize(
    "keys",
    [
        [[b"short", "a", "read", 1.0]],
        [[bytes(32), "a", "admin", 1.0]],
        [[bytes(32), "a", "read", 1.0]] * (MOST_KEYS + 1),
    ],
)
def test_values_out_of_bounds_let_nobody_in(data_dir: Path, keys: list[object]) -> None:
    write_checked(data_dir / "api-keys", "api-keys", msgspec.msgpack.encode([keys]))

    found, warning = apikeys.load(data_dir)

    assert found == ()
    assert warning is not None
    assert "cannot be read" in warning
