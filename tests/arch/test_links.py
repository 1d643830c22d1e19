"""Links between the texts of this repository lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(text: str) -> set[str]:
    """The headings, as they are linked to."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(path: Path, text: str) -> list[str]:
    """Links that lead nowhere: relative ones to no file, or to no heading of it."""
    wrong = []
    for link in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        there = target.exists() and target.is_relative_to(ROOT)
        if not there or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path, path.read_text(encoding="utf-8")) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = (
        "[a](docs/none.md) [b](SECURITY.md) [c](SECURITY.md#nothing) [d](SECURITY.md#security) [e](https://x.example)"
    )
    assert broken(ROOT / "README.md", text) == ["docs/none.md", "SECURITY.md#nothing"]


@pytest.mark.parametrize(
    "path", [path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts], ids=name
)
def test_a_page_is_found_from_the_way_in(path: Path) -> None:
    way_in = ROOT / "docs" / "README.md"
    linked = {(way_in.parent / link.partition("#")[0]).resolve() for link in LINK.findall(way_in.read_text())}
    assert path == way_in or path in linked, f"link it in docs/README.md: {name(path)}"


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=name)
def test_a_decision_begins_with_its_number(path: Path) -> None:
    number = int(path.name.partition("-")[0])

    assert path.read_text(encoding="utf-8").startswith(f"# {number}. ")
