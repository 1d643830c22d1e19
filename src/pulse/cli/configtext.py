"""The whole network config as TOML, as `pulse config export` writes and `pulse config apply` reads it.

Invariant: what is written is read as the same, and what cannot be read is refused with its line.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pulse import tomllines, tomlmistakes
from pulse.cli.rulefile import text_of, timed
from pulse.errors import ConfigError, PulseError
from pulse.schemas.config import ConfigFile

HEADER: Final = """\
# The whole network config, as pulse config export writes it.
# Edit it; then see what comes of it (pulse config plan FILE), and have it so (pulse config apply FILE).

"""

_WIDE: Final = 100
"""Characters of a list on one line."""

_NUMBERED = re.compile(r"(rule|test|route|zone record) (\d+)\b")
_SECTIONS: Final = {"rule": "acl", "test": "tests", "route": "routes", "zone record": "zones"}


@dataclass(frozen=True, slots=True)
class Text:
    """A file that was read."""

    name: str
    text: str
    config: ConfigFile

    @contextmanager
    def places(self) -> Iterator[None]:
        """What a node says of rule 3 names its line."""
        try:
            yield
        except PulseError as error:
            found = _NUMBERED.match(str(error))
            if found is None:
                raise
            path = (_SECTIONS[found[1]], int(found[2]) - 1)
            raise type(error)(
                f"{self.name}{tomlmistakes.at_line(tomllines.lines(self.text), path)}: {error}"
            ) from error


def read(name: str) -> Text:
    """The config in a file, or in what comes on standard input for `-`; raises ConfigError."""
    text = text_of(name)
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is no TOML: {error}") from error
    try:
        return Text(name, text, msgspec.convert(timed(found), ConfigFile))
    except msgspec.ValidationError as error:
        problem = str(error)
        if "settings" not in found and problem.endswith("`settings`"):
            raise ConfigError(
                f"{name} is not a whole network config: it has no [settings]. See one: pulse config export"
            ) from error
        raise ConfigError(tomlmistakes.told(name, text, ConfigFile, problem)) from error
    except RecursionError as error:
        raise ConfigError(f"{name} has lists in lists, deeper than anything here goes") from error


def written(config: ConfigFile) -> str:
    """The text of a file: one table or list of tables a section, so that a line more is a line more in a diff."""
    told = msgspec.to_builtins({name: getattr(config, name) for name in ConfigFile.__struct_fields__})
    blocks = [block for name, section in told.items() for block in _blocks(name, section)]
    return HEADER + "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _blocks(name: str, section: Any) -> Iterator[list[str]]:
    """Each table of a section, as lines."""
    if isinstance(section, list):
        for each in section:
            yield [f"[[{name}]]", *_pairs(each)]
    elif section and all(isinstance(each, dict) for each in section.values()):
        for key, each in section.items():
            yield [f"[{name}.{_key(key)}]", *_pairs(each)]
    else:
        yield [f"[{name}]", *_pairs(section)]


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        if key == "expires":
            moment = datetime.fromtimestamp(value, UTC)
            yield f"expires = {moment.isoformat().replace('+00:00', 'Z')}"
        elif isinstance(value, list):
            yield f"{_key(key)} = {_list([_literal(each) for each in value])}"
        else:
            yield f"{_key(key)} = {_literal(value)}"


def _list(items: list[str]) -> str:
    line = f"[{', '.join(items)}]"
    return line if len(line) <= _WIDE else "".join(("[\n", *(f"    {each},\n" for each in items), "]"))


def _literal(value: str | int | float | bool) -> str:
    import tomli_w

    return tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")


def _key(text: str) -> str:
    import tomli_w

    return tomli_w.dumps({text: 0}).removesuffix(" = 0\n")
