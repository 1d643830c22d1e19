"""The list of endpoints names every one there is, with the scope that its key needs, and none that is gone."""

import re
from collections.abc import Iterator
from pathlib import Path

from pulse.api.app import ENDPOINTS

API = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
ROW = re.compile(r"^\| (?P<endpoints>[A-Z]{3,6}[ ,][^|]*/(?:api/|metrics)[^|]*) \| (?P<key>[a-z ]+) \|", re.MULTILINE)
WORD = re.compile(r"(?P<method>\b[A-Z]{3,6}\b)|(?P<path>/(?:api/[a-z/.{}]+|metrics))")
DOCUMENT = ("GET", "/api/openapi.json", "any")
"""Not one of them: it describes them."""


def listed() -> set[tuple[str, str, str]]:
    """Method, path and key of every row."""
    text = API.read_text(encoding="utf-8")
    return {(*each, row["key"]) for row in ROW.finditer(text) for each in endpoints(row["endpoints"])}


def endpoints(cell: str) -> Iterator[tuple[str, str]]:
    """Of `POST, DELETE /api/tags, /api/groups` four: methods hold for all paths up to the next method."""
    methods, asked = list[str](), False
    for word in WORD.finditer(cell):
        if word["method"]:
            methods = [word["method"]] if asked else [*methods, word["method"]]
        else:
            yield from ((method, word["path"]) for method in methods)
        asked = word["path"] is not None


def test_every_endpoint_is_listed_with_its_key_and_none_that_is_gone() -> None:
    served = {(each.method, each.path, str(each.scope or "socket only")) for each in ENDPOINTS}

    assert listed() == served | {DOCUMENT}


def test_a_row_can_name_several() -> None:
    assert [*endpoints("POST, DELETE /api/a, /api/b, GET /api/c/{d}")] == [
        ("POST", "/api/a"), ("DELETE", "/api/a"), ("POST", "/api/b"), ("DELETE", "/api/b"), ("GET", "/api/c/{d}"),
    ]  # fmt: skip
