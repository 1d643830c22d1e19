"""The next release, made of this tree: all that it may add by the rules of the protocol, at once.

Every message, record, object and state file has one field more at its end, counters among them; neighbours hear a
message, and an object, of kinds that this release does not know; the journal has an event of a new type. So a node of
this release that lives beside one, and starts on what one wrote, shows that it takes what a real one may bring.
"""

import ast
import shutil
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[1] / "src" / "pulse"
VERSION: Final = "0.2.0"

_FIELD: Final = "    said_later: int = 7"
_BASES: Final = ("Wire", "View", "Struct")
_PEEKS: Final = ("_Head",)
"""Read the beginning of what other structs are."""

_STRICT: Final = "forbid_unknown_fields"
"""What people write, and what a face asks: there unknown words are mistakes."""

_BEFORE: Final = "import asyncio\nimport msgspec\nTOLD_LATER = set()\n"
_HEARD: Final = """
    def send(self, link: LinkId, message: bytes) -> bool:
        if link not in TOLD_LATER:
            TOLD_LATER.add(link)
            self._dataplane.send(link, msgspec.msgpack.encode([77, "of the next release", {"what": [1, 2]}]))
            self._dataplane.send(link, msgspec.msgpack.encode([6, [[77, b"of the next release", 7]], False, 7]))
        return self._dataplane.send(link, message)
"""


def tree(place: Path) -> Path:
    """Write it to a directory; first on the path of an interpreter, that interpreter runs it."""
    made = place / "later"
    shutil.copytree(SOURCE, made / "pulse", ignore=shutil.ignore_patterns("__pycache__"))
    for path in sorted((made / "pulse").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if (grown := _grown(text)) != text:
            path.write_text(grown, encoding="utf-8")
    _replace(made / "pulse" / "net" / "dataplane.py", _method("send"), _HEARD)
    _replace(made / "pulse" / "net" / "dataplane.py", "import asyncio\n", _BEFORE)
    _replace(
        made / "pulse" / "core" / "events.py", '    START = "start"\n', '    START = "start"\n    LATER = "later"\n'
    )
    _replace(
        made / "pulse" / "assembly" / "insight.py",
        '    events.happened(Event(Kind.START, {"version": version}))\n',
        '    events.happened(Event(Kind.START, {"version": version, "later": 7}))\n'
        '    events.happened(Event(Kind.LATER, {"what": "of the next release"}))\n',
    )
    metadata = made / f"pulse_mesh-{VERSION}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: pulse-mesh\nVersion: {VERSION}\n", encoding="utf-8")
    return made


def _grown(text: str) -> str:
    """Every struct of a module with one field more, at its end."""
    lines = text.splitlines()
    classes = [each for each in ast.parse(text).body if isinstance(each, ast.ClassDef) and _is_struct(each)]
    for each in reversed(classes):
        assert each.end_lineno is not None
        lines.insert(each.end_lineno, f"\n{_FIELD}")
    return "\n".join(lines) + "\n"


def _is_struct(each: ast.ClassDef) -> bool:
    """One that has fields and is no base of others."""
    named = {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in each.bases}
    strict = any(keyword.arg == _STRICT for keyword in each.keywords)
    return bool(named & {*_BASES}) and not strict and each.name not in (*_BASES, *_PEEKS)


def _method(name: str) -> str:
    """The text of the data plane's adapter that sends."""
    text = (SOURCE / "net" / "dataplane.py").read_text(encoding="utf-8")
    found = next(
        part
        for each in ast.parse(text).body
        if isinstance(each, ast.ClassDef) and each.name == "DataplaneLinks"
        for part in each.body
        if isinstance(part, ast.FunctionDef) and part.name == name
    )
    return "\n".join(text.splitlines()[found.lineno - 1 : found.end_lineno]) + "\n"


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name} has {text.count(old)} of: {old}"
    path.write_text(text.replace(old, new), encoding="utf-8")
