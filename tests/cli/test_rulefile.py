"""Rules in a file."""

from pathlib import Path

import pytest

from pulse.cli import rulefile
from pulse.errors import ConfigError
from pulse.schemas.policy import RuleText


def written(place: Path, content: bytes) -> str:
    file = place / "rules"
    file.write_bytes(content)
    return str(file)


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = b'[[rules]]\nfrom = "web"\nto = "db"\nexpires = 2026-09-21T14:13:20Z\n'
    json = b'{"rules": [{"from": "web", "to": "db", "expires": 1790000000}]}'

    (rule,) = rulefile.read(written(tmp_path, toml)).rules
    assert rule == RuleText(source="web", destination="db", expires=1_790_000_000.0)
    assert rulefile.read(written(tmp_path, json)).rules == [rule]
    assert rulefile.read(written(tmp_path, b"\xef\xbb\xbf" + toml)).rules == [rule]
    assert rulefile.read(written(tmp_path, b"")).rules == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "no text in UTF-8"),
        (b"x" * (rulefile.LIMIT + 1), "longer than"),
        (b"[" * 100_000, "neither JSON nor TOML"),
        (b'[{"from": "web", "to": "db", "to": "*"}]', '"to" is there twice'),
        (b'[[rules]]\nfrom = "web"\nto = "db"\nexpires = 2026-09-21T14:13:20', "says no zone"),
        (b'[[rules]]\nfrom = "web"\nto = "db"\ncolor = "red"', r"unknown field `color` - at `\$\.rules\[0\]`"),
    ],
)
def test_what_is_no_file_of_rules_is_refused_with_the_reason(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rulefile.read(written(tmp_path, content))


def test_a_file_without_end_is_refused_too() -> None:
    with pytest.raises(ConfigError, match="/dev/zero is longer than"):
        rulefile.read("/dev/zero")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*gone\.toml: No such file"):
        rulefile.read(str(tmp_path / "gone.toml"))
