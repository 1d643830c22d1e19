"""What to say of a TOML text that does not fit its structs: file, line, key, and the nearest name there is.

Invariant: a line is named only where it is certain, and the problem always.
"""

import enum
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from pulse import tomllines
from pulse.core.likeness import meant

_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?", re.DOTALL)
_NO_CHOICE = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
_PLACED = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z_]+)|\[(\d+)\]|\[(\.\.\.)\]")
_ANY: Final = "..."
"""What msgspec calls a key of a table that may have any."""

Path = tomllines.Path


def told(name: str, text: str, kind: type[msgspec.Struct], problem: str, inside: Path = ()) -> str:
    """What to say of the text called `name` when msgspec has that problem with it, as `kind`.

    `inside` is where the part that was read as `kind` stands in the text.
    """
    places = _places(text)
    if unknown := _UNKNOWN.fullmatch(problem):
        key, path = unknown[1], _path(unknown[2] or "")
        known = [each.encode_name for each in msgspec.structs.fields(_struct_at(kind, path))]
        where = f" in {_shown((*inside, *path))}" if (*inside, *path) else ""
        return f'{name}{at_line(places, (*inside, *path, key))}: unknown key "{key}"{where}.{_meant(key, known)}'
    placed = _PLACED.fullmatch(problem)
    if placed is None:
        where = f", in {_shown(inside)}" if inside else ""
        return f"{name}{at_line(places, inside)}: {problem}{where}"
    path = _path(placed[2])
    said, wrong = placed[1], _NO_CHOICE.fullmatch(placed[1])
    if wrong and (choices := _choices(kind, path)):
        said = f'there is no "{wrong[1]}".{_meant(wrong[1], choices)}'
        return f"{name}{at_line(places, (*inside, *path))}: {_shown((*inside, *path))}: {said}"
    return f"{name}{at_line(places, (*inside, *path))}: {said}, in {_shown((*inside, *path))}"


def at_line(places: Mapping[Path, int], path: Path) -> str:
    """`:7`, or nothing if it is not certain; with a step that may be any, the only line that fits."""
    fitting = {
        line
        for each, line in places.items()
        if len(each) == len(path) and all(step in (_ANY, key) for step, key in zip(path, each, strict=True))
    }
    return f":{min(fitting)}" if len(fitting) == 1 else ""


def _places(text: str) -> Mapping[Path, int]:
    try:
        return tomllines.lines(text)
    except RecursionError:
        return {}


def _meant(word: str, known: list[str]) -> str:
    return meant(word, known) or f" There are: {', '.join(known)}"


def _path(text: str) -> Path:
    """Of `.acl[2].ports`, as msgspec says it."""
    return tuple(each[1] or (int(each[2]) if each[2] else _ANY) for each in _STEP.finditer(text.rstrip("`")))


def _shown(path: Path) -> str:
    """`acl, number 3`."""
    steps = (f"number {each + 1}" if isinstance(each, int) else each for each in path if each != _ANY)
    return ", ".join(steps)


def _struct_at(kind: type[msgspec.Struct], path: Path) -> type[msgspec.Struct]:
    """The struct whose keys stand at a place."""
    for step in path:
        if isinstance(step, str) and step != _ANY:
            structs = [each for each in _inner(_field(kind, step)) if _is(each, msgspec.Struct)]
            kind = structs[0] if structs else kind
    return kind


def _choices(kind: type[msgspec.Struct], path: Path) -> list[str]:
    """What may stand at a place where only certain words may."""
    names = [step for step in path if isinstance(step, str) and step != _ANY]
    if not names:
        return []
    last = max(place for place, step in enumerate(path) if step == names[-1])
    found = [each for each in _inner(_field(_struct_at(kind, path[:last]), names[-1])) if _is(each, enum.Enum)]
    return [str(each.value) for each in found[0]] if found else []


def _field(kind: type[msgspec.Struct], key: str) -> Any:
    return next(each.type for each in msgspec.structs.fields(kind) if key in (each.name, each.encode_name))


def _is(kind: Any, of: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, of)


def _inner(kind: Any) -> Iterator[Any]:
    """A type and those it is made of."""
    yield kind
    for each in getattr(kind, "__args__", ()):
        yield from _inner(each)
