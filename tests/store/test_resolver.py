"""The choice on disk: a person's word, durable, and never a reason not to start."""

from pathlib import Path

from pulse.store import resolver
from pulse.store.files import open_data_dir


def test_the_last_word_counts(tmp_path: Path) -> None:
    data_dir = open_data_dir(tmp_path / "data")
    assert resolver.load(data_dir) == (False, None)

    for wanted in (True, False, True):
        resolver.save(data_dir, wanted=wanted)
        assert resolver.load(data_dir) == (wanted, None)


def test_a_damaged_one_counts_as_no_and_says_what_to_type(tmp_path: Path) -> None:
    data_dir = open_data_dir(tmp_path / "data")
    resolver.save(data_dir, wanted=True)
    (data_dir / "resolver").write_bytes((data_dir / "resolver").read_bytes().replace(b"on", b"ON"))

    wanted, warning = resolver.load(data_dir)

    assert wanted is False
    assert warning is not None
    assert "resolver is damaged" in warning
    assert warning.endswith("pulse setup dns")
