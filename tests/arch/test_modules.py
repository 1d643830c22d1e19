"""The shape of the tree: every module says why it is there, has its tests beside it, and stays small."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pulse"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py")
CODE = [
    *MODULES,
    *sorted(SOURCE.rglob("*.js")),
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "crates").rglob("*.rs")),
]

LINES = 400
FUNCTION_LINES = 50

WITHOUT_TESTS_OF_THEIR_OWN = {
    "__main__.py": "one call",
    "errors.py": "declarations",
    "core/types.py": "declarations",
    "core/facts.py": "declarations",
    "core/effects.py": "declarations",
    "core/paths/news.py": "declarations",
    **{
        f"schemas/{each}.py": "declarations: tests/schemas/test_schemas.py reads all that is said and heard"
        for each in (
            "structs",
            "apikeys",
            "bulk",
            "journal",
            "names",
            "node",
            "pin",
            "revoke",
            "roles",
            "tokens",
            "topology",
            "whereabouts",
        )
    },
    "api/governance.py": "protocols: tests/api/test_control.py looks that all they say is asked",
    "net/links.py": "a protocol: the fakes and net/dataplane.py implement it",
    "net/beyond.py": "protocols: services/exits.py and services/exitnode.py implement them",
    "net/opening.py": "protocols: services/streams implements them",
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_why_it_exists(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    assert docstring, f"{name(path)} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_has_its_tests(path: Path) -> None:
    inside = path.relative_to(SOURCE)
    mirror = ROOT / "tests" / inside.parent / f"test_{inside.name}"

    assert mirror.exists() or str(inside) in WITHOUT_TESTS_OF_THEIR_OWN, f"{name(path)} is tested by {name(mirror)}"


@pytest.mark.parametrize("path", sorted({*SOURCE.rglob("__init__.py")} - {SOURCE / "sdk" / "__init__.py"}), ids=name)
def test_a_package_is_only_a_room(path: Path) -> None:
    """But for the SDK, whose front is what programs see."""
    assert path.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_file_has_one_idea(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")

    assert lines <= LINES, f"{name(path)} has {lines} lines: split it"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES]
    assert long == []


@pytest.mark.parametrize("floor", ["core", "services", "net", "store"])
def test_the_map_names_every_module_of_a_floor(floor: str) -> None:
    """How routers are asked is one word there: `portmap/`."""
    floors = re.split(r"^    (?=[a-z]+/ )", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = {word for text in floors if text.startswith(f"{floor}/") for word in re.findall(r"[a-z]+", text)}
    there = {path.stem for path in MODULES if path.is_relative_to(SOURCE / floor) and path.parent.name != "portmap"}

    assert there - named == set()


@pytest.mark.parametrize("word", ["util", "helper", "manager", "common", "base", "misc"])
def test_no_module_is_named_for_nothing(word: str) -> None:
    assert [name(path) for path in MODULES if word in path.stem.split("_")] == []
