"""A node that tells markup wherever text is told, looked at with the dashboard in a real browser."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from tests.api.doors import Doors, doors
from tests.api.fake_control import peer
from tests.chromium import Page, browsing

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
