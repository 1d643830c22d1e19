"""A node that tells markup wherever text is told, looked at with the dashboard in a real browser."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import structs

from pulse.api.stream import PLACES_A_KEY
from pulse.schemas.apikeys import ApiKeyRequest
from pulse.schemas.tokens import TokenRef
from tests.api.doors import Doors, doors
from tests.api.fake_control import peer
from tests.chromium import PATIENCE, Page, browsing

MARKUP: Final = "<img src=x onerror=hit=1><script>hit=2</script>"
OTHER: Final = "9" * 64
VIEWS: Final = (f"mesh/{OTHER}", "policy", "tokens", "routes", "dns", "events", "traffic")


@contextmanager
def looked_at() -> Iterator[tuple[Doors, Page]]:
    """A node that answers from memory, and its dashboard before anybody signed in."""
    place = tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp")
    with place as name, doors(Path(name)) as node, browsing() as page:
        page.open(f"http://127.0.0.1:{node.address[1]}/")
        yield node, page


@pytest.fixture(scope="module")
def seen() -> Iterator[tuple[Doors, Page]]:
    """The same for tests that leave the page at its door, and anybody's key as it was."""
    with looked_at() as found:
        yield found


def signed_in(page: Page, key: str) -> None:
    """Wait until the mesh is there."""
    page.wait("document.querySelector('#app').hidden")
    page.type("#key", key)
    page.click("#sign-in button")
    page.wait("document.querySelectorAll('tbody tr').length > 0")


def test_the_key_is_kept_in_memory_alone_so_a_reload_asks_for_it(seen: tuple[Doors, Page]) -> None:
    node, page = seen
    signed_in(page, node.keys["read"])
    kept = "Object.keys(sessionStorage).length + Object.keys(localStorage).length + document.cookie.length"
    assert page.run(f"indexedDB.databases().then((found) => found.length + {kept})") == 0
    page.run("window.before = true")
    page.run("location.reload()")
    page.wait("document.readyState === 'complete' && !window.before && !document.querySelector('#door').hidden")
    page.wait_text("keeps it in memory alone")
    assert page.run("document.querySelector('#key').value") == ""


@pytest.mark.parametrize(
    "behind", ["constructor", "toString/x", "__proto__", "hasOwnProperty", "mesh/constructor", "%"]
)
def test_whatever_stands_behind_the_hash_a_view_is_shown(seen: tuple[Doors, Page], behind: str) -> None:
    node, page = seen
    page.run(f"location.hash = {behind!r}")
    signed_in(page, node.keys["read"])
    assert page.run("document.querySelector('#tab-mesh').getAttribute('aria-current')") == "page"
    page.click("#sign-out")
    assert page.said == []


ANSWERS: Final = {"mesh": "topology", "traffic": "stats", "events": "events", "dns": "dns", "policy": "acls"}
"""A path under /api/ for each view, and what it is asked for there."""


def test_what_is_no_answer_of_a_node_is_told_as_a_fault(seen: tuple[Doors, Page]) -> None:
    node, page = seen
    page.run("window.honest = fetch, 0")
    for view, path in ANSWERS.items():
        for answer in ("{}", "[1]", "null", "<html>"):
            page.run(f"location.hash = '#{view}'")
            answered = f"path.startsWith('/api/{path}') && !how.signal ? new Response({answer!r}) : honest(path, how)"
            page.run(f"window.fetch = async (path, how) => {answered}, 0")
            page.wait("document.querySelector('#app').hidden")
            page.type("#key", node.keys["read"])
            page.click("#sign-in button")
            page.wait_text("is no answer of a node of this release, so the key was forgotten")
            assert page.run("document.querySelector('#app').hidden"), "the door is shown"
    page.run("window.fetch = honest")
    assert page.said == []


@pytest.mark.parametrize("path", ["status", "events"])
@pytest.mark.parametrize("answer", ["'no', {status: 404}", "'[]', {status: 500}", "'ok'"])
def test_what_is_neither_an_answer_nor_a_refusal_of_a_node_ends_the_session(
    seen: tuple[Doors, Page], path: str, answer: str
) -> None:
    node, page = seen
    page.run("window.honest = fetch, window.asked = [], 0")
    answered = f"path === '/api/{path}' ? new Response({answer}) : honest(path, how)"
    page.run(f"window.fetch = async (path, how) => {{ asked.push(path); return {answered}; }}, 0")
    page.type("#key", node.keys["read"])
    page.click("#sign-in button")
    page.wait_text(f"What came from /api/{path} is no answer of a node")
    assert path == "status" or page.run("asked") == ["/api/key", "/api/events"], "nobody else is shown the key"
    page.run("window.fetch = honest, 0")


def test_nothing_is_asked_before_the_stream_of_events_is_open(seen: tuple[Doors, Page]) -> None:
    node, page = seen
    page.run("window.honest = fetch, window.asked = [], window.may = new Promise((go) => { window.open_it = go; }), 0")
    held = "if (path === '/api/events') await may"
    page.run(f"window.fetch = async (path, how) => {{ asked.push(path); {held}; return honest(path, how); }}, 0")
    page.type("#key", node.keys["read"])
    page.click("#sign-in button")
    page.wait("Boolean(document.querySelector('#tab-dns'))")
    page.run("location.hash = '#dns'")
    page.wait("document.querySelector('#tab-dns').hasAttribute('aria-current')")
    assert page.run("asked") == ["/api/key", "/api/events"]
    page.run("open_it()")
    page.wait("asked.includes('/api/dns') && asked.includes('/api/status')")
    page.click("#sign-out")
    page.run("window.fetch = honest, location.hash = '#mesh', 0")


def test_a_page_that_finds_no_place_among_the_readers_says_why_and_shows_its_key_no_more(
    seen: tuple[Doors, Page],
) -> None:
    node, page = seen
    page.run("window.honest = fetch, window.asked = [], 0")
    page.run("window.fetch = (path, how) => { asked.push(path); return honest(path, how); }, 0")
    page.run("window.patiently = setTimeout, window.setTimeout = (what, time) => patiently(what, time / 100), 0")
    with ExitStack() as held:
        for _ in range(PLACES_A_KEY):
            reads = held.enter_context(socket.create_connection(node.address, PATIENCE))
            head = "GET /api/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
            reads.sendall(f"{head}Authorization: Bearer {node.keys['read']}\r\n\r\n".encode())
            assert reads.recv(1)
        page.type("#key", node.keys["read"])
        page.click("#sign-in button")
        page.wait_text(f"{PLACES_A_KEY} readers follow events with this key already")
        page.wait_text("close another tab with this page")
        page.run("new Promise((done) => patiently(done, 300))")
        assert page.run("asked") == ["/api/key", "/api/events"]
    page.run("window.setTimeout = patiently, 0")
    signed_in(page, node.keys["read"])
    page.click("#sign-out")
    page.run("window.fetch = honest, 0")
    page.said[:] = [each for each in page.said if "503" not in each]


def test_a_question_goes_with_its_key(seen: tuple[Doors, Page]) -> None:
    node, page = seen
    page.run("location.hash = '#tokens'")
    signed_in(page, asyncio.run(node.service.create(ApiKeyRequest("asks", "write"))).key)
    page.click("button.danger[aria-label^='Revoke token']")
    page.wait("document.querySelector('#confirm').open")
    asyncio.run(node.service.revoke("asks"))
    page.run("location.hash = '#dns'")
    page.wait_text("it was revoked")
    assert not page.run("document.querySelector('#confirm').open")
    assert page.run("document.activeElement.id") == "key"
    assert not [each for each in node.control.asked if isinstance(each, TokenRef)]
    assert [each for each in page.said if "401" not in each] == []


def test_names_tags_and_errors_with_markup_are_text_wherever_they_are_shown() -> None:
    hostile: dict[str, Any] = dict.fromkeys(("v4", "v6", "link", "via", "address", "last_error", "version"), MARKUP)
    with looked_at() as (node, page):
        node.control.node.peers = [peer(MARKUP, tags=[MARKUP], roles=[MARKUP], path=[OTHER], **hostile)]
        node.control.ways.reason = structs.replace(node.control.ways.reason, sentence=MARKUP, help=MARKUP)
        page.type("#key", node.keys["read"])
        page.click("#sign-in button")
        page.wait_text(MARKUP)
        for view in VIEWS:
            page.run(f"location.hash = {view!r}")
            page.wait(f"document.querySelector('#tab-{view.partition('/')[0]}')?.hasAttribute('aria-current')")
            if view == VIEWS[0]:
                page.wait(f"document.querySelector('.verdict')?.textContent === {MARKUP!r}")
        assert page.run("typeof hit") == "undefined"
        assert page.run("document.querySelectorAll('main img, main script').length") == 0
        assert page.said == []


def test_a_script_that_is_put_into_the_page_does_not_run() -> None:
    """So a mistake of ours would not be enough: the rules of the page refuse markup, and scripts made of text."""
    with looked_at() as (_, page):
        script = f"try {{ document.body.innerHTML = {MARKUP!r}; }} catch (error) {{ return error.name; }}"
        refused = page.run(f"(() => {{ {script} }})()")
        page.run("document.body.append(Object.assign(document.createElement('img'), {src: 'http://evil.example/x'}))")
        page.run("document.body.setAttribute('style', 'color: red')")
        assert refused == "TypeError"
        assert page.run("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
        assert page.run("typeof hit") == "undefined"
        assert sum("Content Security Policy" in each for each in page.said) >= 2
