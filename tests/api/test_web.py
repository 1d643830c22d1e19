"""The dashboard's files: who asks for them needs no key, browsers are told to be strict, and no other file is there."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.api import web
from tests.api.doors import Doors, doors
from tests.api.http import call

NAMES = sorted(web.read())
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|DOMParser")
ELSEWHERE = re.compile(r"(?:https?:)?//[a-z0-9]", re.IGNORECASE)
NAMESPACE = "http://www.w3.org/2000/svg"
"""It names a language and is asked of nobody."""


@pytest.fixture(scope="module")
def node() -> Iterator[Doors]:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name, doors(Path(name)) as found:
        yield found


@pytest.mark.parametrize("path", NAMES)
def test_a_file_is_there_for_everybody_with_its_kind_and_strict_rules(node: Doors, path: str) -> None:
    status, headers, text = call(node.address, f"GET {path} HTTP/1.1")

    assert (status, bool(text)) == (200, True)
    kinds = {"": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert headers["content-type"].partition(";")[0] == kinds[path.rpartition(".")[2].removeprefix("/")]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    rules = headers["content-security-policy"]
    assert "unsafe" not in rules
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(rules.split("; "))
    assert "require-trusted-types-for 'script'" in rules


def test_a_browser_that_holds_a_file_is_sent_none(node: Doors) -> None:
    _, headers, _ = call(node.address, "GET / HTTP/1.1")
    assert headers["cache-control"] == "no-cache"
    for held in (headers["etag"], f'"other", W/{headers["etag"]}'):
        status, again, text = call(node.address, f"GET / HTTP/1.1\nIf-None-Match: {held}")
        assert (status, again["etag"], text) == (304, headers["etag"], None)
        assert again["content-security-policy"] == headers["content-security-policy"]
    assert call(node.address, 'GET / HTTP/1.1\nIf-None-Match: "other"')[0] == 200


def test_head_has_the_headers_alone(node: Doors) -> None:
    _, asked, text = call(node.address, "GET /web/main.js HTTP/1.1")
    status, headers, nothing = call(node.address, "HEAD /web/main.js HTTP/1.1")

    assert (status, nothing) == (200, "")
    assert headers["content-length"] == asked["content-length"] == str(len(text.encode()))


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/web", "/web/", "/web/index.html", "/web/nothing.js", "/web/../api.py", "/web/..%2fapi%2fweb.py",
     "/web/%2e%2e/app.py", "//web/main.js", "/web//main.js", "/web/main.js/", "/web/main.js%00", "/favicon.ico",
     "/web/__init__.py", "/etc/passwd", "/WEB/main.js"],
)  # fmt: skip
def test_any_other_path_is_like_the_rest_of_the_api(node: Doors, path: str) -> None:
    assert call(node.address, f"GET {path} HTTP/1.1")[0] == 401
    assert node.ask("write", f"GET {path} HTTP/1.1")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_a_file_is_read_and_nothing_else(node: Doors, method: str) -> None:
    assert call(node.address, f"{method} / HTTP/1.1")[0] == 401
    assert node.ask("write", f"{method} / HTTP/1.1")[0] == 404


@pytest.mark.parametrize("header", ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"])
def test_no_other_site_is_shown_them(node: Doors, header: str) -> None:
    assert call(node.address, f"GET / HTTP/1.1\n{header}")[0] == 403
    assert call(node.address, "GET / HTTP/1.1", host="evil.example")[0] == 403


def test_the_api_keeps_rules_of_its_own(node: Doors) -> None:
    _, headers, _ = node.ask("read", "GET /api/id HTTP/1.1")

    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", NAMES)
def test_a_file_makes_no_markup_of_text_and_asks_nobody_else(path: str) -> None:
    text = web.read()[path].content.decode().replace(NAMESPACE, "")

    assert not MARKUP.search(text)
    assert not ELSEWHERE.search(text)
    assert not re.search(r"<script(?![^>]*src=)|<style|\son[a-z]+=|\sstyle=", text)


def test_only_kinds_that_are_known_are_read(tmp_path: Path) -> None:
    for name in ("index.html", "app.js", "notes.txt", "key.pem"):
        (tmp_path / name).write_text(name)

    assert set(web.read(tmp_path)) == {"/", "/web/app.js"}
