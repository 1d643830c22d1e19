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

from pulse import tomllines
from pulse.cli.rulefile import text_of, timed
from pulse.core.likeness import meant
from pulse.errors import ConfigError, PulseError
from pulse.schemas.config import ConfigFile

HEADER: Final = """\
# The whole network config, as pulse config export writes it.
# Edit it; then see what comes of it (pulse config plan FILE), and have it so (pulse config apply FILE).

"""

_WIDE: Final = 100
"""Characters of a list on one line."""

_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?", re.DOTALL)
_PLACED = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z_]+)|\[(\d+)\]|\[(\.\.\.)\]")
_NUMBERED = re.compile(r"(rule|test|route|zone record) (\d+)\b")
_SECTIONS: Final = {"rule": "acl", "test": "tests", "route": "routes", "zone record": "zones"}
_ANY: Final = "..."

_Step = str | int


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
            raise type(error)(f"{self.name}{_line(tomllines.lines(self.text), path)}: {error}") from error


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
        raise ConfigError(_mistake(name, text, found, str(error))) from error
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


def _mistake(name: str, text: str, found: Mapping[str, Any], problem: str) -> str:
    """What to say of a file that does not fit, with the line of what is wrong."""
    places = _places(text)
    if unknown := _UNKNOWN.fullmatch(problem):
        key, path = unknown[1], _path(unknown[2] or "")
        hint = meant(key, _keys(path)) or f" There are: {', '.join(_keys(path))}"
        inside = f" in {_shown(path)}" if path else ""
        return f'{name}{_line(places, (*path, key))}: unknown key "{key}"{inside}.{hint}'
    if "`settings`" in problem and not _path(problem.partition("$")[2]) and "settings" not in found:
        return f"{name} is not a whole network config: it has no [settings]. See one: pulse config export"
    placed = _PLACED.fullmatch(problem)
    if placed is None:
        return f"{name}: {problem}"
    path = _path(placed[2])
    return f"{name}{_line(places, path)}: {placed[1]}, in {_shown(path)}"


def _places(text: str) -> Mapping[tomllines.Path, int]:
    try:
        return tomllines.lines(text)
    except RecursionError:
        return {}


def _path(text: str) -> tuple[_Step, ...]:
    """Of `.acl[2].ports`, as msgspec says it."""
    return tuple(each[1] or (int(each[2]) if each[2] else _ANY) for each in _STEP.finditer(text.rstrip("`")))


def _line(places: Mapping[tomllines.Path, int], path: tuple[_Step, ...]) -> str:
    """`:7`, or nothing if it is not certain; with a step that may be any, the only line that fits."""
    fitting = {
        line
        for each, line in places.items()
        if len(each) == len(path) and all(step in (_ANY, key) for step, key in zip(path, each, strict=True))
    }
    return f":{min(fitting)}" if len(fitting) == 1 else ""


def _shown(path: tuple[_Step, ...]) -> str:
    """`acl, number 3`."""
    steps = (f"number {each + 1}" if isinstance(each, int) else each for each in path if each != _ANY)
    return ", ".join(steps)


def _keys(path: tuple[_Step, ...]) -> list[str]:
    """The keys there are at a place."""
    kind: Any = ConfigFile
    for step in path:
        if isinstance(step, str) and step != _ANY:
            kind = next(each.type for each in msgspec.structs.fields(kind) if step in (each.name, each.encode_name))
            inner = [each for each in _inner(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
            kind = inner[0] if inner else kind
    return [each.encode_name for each in msgspec.structs.fields(kind)]


def _inner(kind: Any) -> Iterator[Any]:
    """A type and those it is made of."""
    yield kind
    for each in getattr(kind, "__args__", ()):
        yield from _inner(each)
