"""The dashboard of a real scribe in a real browser, signed in with real keys.

Invariant: the tests run in their order, in one browser, on one mesh.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from pulse.calls.acls import AclCalls
from pulse.calls.apikeys import ApiKeyCalls
from pulse.calls.dns import DnsCalls
from pulse.calls.names import NameCalls
from pulse.calls.tokens import TokenCalls
from pulse.client import Client, connect
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.schemas.apikeys import ApiKeyRequest, KeyScope
from pulse.schemas.dns import RecordRequest
from pulse.schemas.policy import RuleRequest
from pulse.schemas.tokens import TokenInfo
from tests import accessible
from tests.chromium import Page, browsing
from tests.e2e.mesh import PATIENCE, Mesh, bring_up_mesh
from tests.namespace import require_root

URL: Final = "http://127.0.0.1:8080/"
REFUSED: Final = re.compile("40[139]|net::ERR_")
"""What a browser writes down of each refusal that a test asked for, and of a node that is gone."""
NOTE: Final = "<img src=x onerror=hit=1><script>hit=2</script>"


OTHERS: Final = """
import os, socket
os.setuid(65534)
while True:
    try:
        taken = socket.create_server(("127.0.0.1", 8080))
        break
    except OSError:
        pass
print("taken", flush=True)
while True:
    caller, _ = taken.accept()
    print(caller.recv(4096), flush=True)
    caller.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
"""
"""A program of another user, which waits for the port of the API and tells what it is asked there."""


@dataclass(frozen=True)
class Seen:
    """A mesh, and the dashboard of its scribe."""

    mesh: Mesh
    page: Page

    @contextmanager
    def asked(self) -> Iterator[Client]:
        """The scribe, as its owner asks it."""
        with connect(self.mesh["a"].host.data) as client:
            yield client

    def key(self, name: str, scope: KeyScope) -> str:
        """A new key of the scribe."""
        with self.asked() as client:
            return ApiKeyCalls(client).create_api_key(ApiKeyRequest(name, scope)).key

    def sign_in(self, key: str) -> None:
        """As a person does."""
        self.page.wait("!document.querySelector('#door').hidden")
        self.page.type("#key", key)
        self.page.click("#sign-in button")

    def go(self, view: str) -> None:
        """Choose a view."""
        self.page.click(f"#tab-{view}")
        self.page.wait(f"document.querySelector('#tab-{view}').hasAttribute('aria-current')")

    def tokens(self) -> list[TokenInfo]:
        """Those there are, by the node's own word."""
        with self.asked() as client:
            return TokenCalls(client).list_tokens()

    def named(self, name: str) -> TokenInfo:
        """The token of that name."""
        return next(each for each in self.tokens() if each.name == name)


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """Host a is CA and scribe."""
    require_root()
    with Lab() as lab:
        mesh = bring_up_mesh(lab, {"b": "a"})
        with connect(lab["a"].data) as client:
            NameCalls(client).add_tag("b", "db")
            rule = RuleRequest(source=["*"], destination=["tag:db"], proto=["tcp"], ports=["22"], note=NOTE)
            AclCalls(client).add_rule(rule)
            DnsCalls(client).add(RecordRequest("odd", "TXT", NOTE))
        with browsing(wrapped=lab["a"].inside) as page:
            page.open(URL)
            yield Seen(mesh, page)
            assert [each for each in page.said if not REFUSED.search(each)] == []
        assert mesh.errors == []


def test_a_key_that_is_none_is_refused_in_words(seen: Seen) -> None:
    for key, words in (("plk_" + "A" * 43, "knows no such key"), ("not a key", "That is no key")):
        seen.sign_in(key)
        seen.page.wait_text(words)
    assert "10.100." not in seen.page.text
    assert accessible.nameless(seen.page) == []
    assert [*accessible.faint(seen.page, "light"), *accessible.faint(seen.page, "dark")] == []


def test_the_mesh_is_shown_with_why_a_node_is_reached_so(seen: Seen) -> None:
    page = seen.page
    seen.sign_in(seen.key("reads", "read"))
    page.wait_text(seen.mesh["a"].status().sentence)
    for name in ("a", "b"):
        page.wait_text(seen.mesh[name].v4)
    row = "[...document.querySelectorAll('tbody button')].find((each) => each.textContent === 'b')"
    page.wait(f"{row} && ({row}.click(), true)")
    page.wait_text("b is reached directly by quic")
    assert page.run("document.querySelectorAll('.graph canvas').length") == 2
    assert page.run("sessionStorage.length + localStorage.length + document.cookie.length") == 0


def test_a_key_that_reads_sees_no_way_to_change_names_and_tags(seen: Seen) -> None:
    assert seen.page.run("document.querySelectorAll('.details form, .details .take').length") == 0


def test_a_flow_is_explained_by_the_rules_there_are(seen: Seen) -> None:
    seen.go("policy")
    for port, words in (("22", "allowed"), ("80", "denied")):
        seen.page.type("#field-source", "a")
        seen.page.type("#field-destination", "b")
        seen.page.type("#field-port", port)
        seen.page.run("document.querySelector('#field-proto').value = 'tcp'")
        seen.page.click("form.fields button")
        seen.page.wait(f"document.querySelector('.verdict .chip')?.textContent === '{words}'")


def test_markup_in_a_note_and_a_record_is_text_and_runs_nothing(seen: Seen) -> None:
    for view in ("policy", "dns"):
        seen.go(view)
        seen.page.wait_text(NOTE)
    assert seen.page.run("typeof hit") == "undefined"
    assert seen.page.run("document.querySelectorAll('main img, main script').length") == 0


def test_what_happens_is_told_as_it_happens(seen: Seen) -> None:
    seen.go("events")
    seen.page.wait("document.querySelector('[role=status].muted').textContent === 'live'")
    with seen.asked() as client:
        NameCalls(client).set_name("b", "told-live")
    seen.page.wait_text("told-live")


def test_a_key_that_reads_changes_nothing_and_says_so(seen: Seen) -> None:
    before = seen.tokens()
    seen.go("tokens")
    seen.page.click("form.fields button")
    seen.page.wait_text("this key is good for read alone")
    seen.page.wait_text("pulse api-key create me --scope write")
    assert seen.tokens() == before


def test_one_that_writes_makes_a_token_and_ends_it_once_it_is_confirmed(seen: Seen) -> None:
    page = seen.page
    page.click("#sign-out")
    seen.sign_in(seen.key("writes", "write"))
    seen.go("tokens")
    page.type("#field-name", "cam-7")
    page.click("form.fields button")
    invite = str(page.wait("document.querySelector('.secret')?.value"))
    assert invite.startswith("pulse join pls_")
    end = f"button[aria-label='Revoke token {seen.named('cam-7').id[:8]}']"

    page.click(end)
    page.click("#confirm button[value=no]")
    assert seen.named("cam-7").state == "good"
    page.click(end)
    page.click("#confirm-yes")
    page.wait(f"!document.querySelector({json.dumps(end)})")
    assert seen.named("cam-7").state == "revoked"


def test_names_and_tags_are_changed_where_they_are_shown(seen: Seen) -> None:
    page = seen.page
    with seen.asked() as client:
        node = next(each for each in client.status().peers if each.name == "told-live")
    page.run(f"location.hash = 'mesh/{node.id}'")
    page.type("#naming-name", "db-server")
    page.click(".naming form button")
    page.wait_text("It is called db-server now.")
    page.type("#naming-tag", "prod")
    page.click("#naming-tag + button")
    page.wait_text("It has the tag prod now.")
    page.click("button[aria-label='Take tag db away']")
    page.wait_text("The tag db is taken away.")
    with seen.asked() as client:
        found = next(each for each in client.status().peers if each.id == node.id)
    assert (found.name, found.tags) == ("db-server", ["prod"])


def test_what_the_scribe_refuses_stands_under_its_field(seen: Seen) -> None:
    page = seen.page
    for field, text, words in (("name", "a", "is the name of"), ("tag", "no tag", "tag")):
        page.type(f"#naming-{field}", text)
        page.click(f"#naming-{field} + button")
        page.wait(f"document.querySelector('#naming-{field}-problem').textContent.includes({words!r})")
        assert page.run(f"document.querySelector('#naming-{field}').getAttribute('aria-invalid')") == "true"


def test_a_name_that_somebody_else_changed_meanwhile_is_not_written_over_unseen(seen: Seen) -> None:
    page = seen.page
    page.type("#naming-name", "mine")
    with seen.asked() as client:
        NameCalls(client).set_name("db-server", "theirs")
    page.click(".naming form button")
    page.wait_text("It was db-server when you began and is theirs now.")
    page.click(".naming form button")
    page.wait_text("It is called mine now.")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_can_be_heard_read_and_gone_through_by_keyboard(seen: Seen, theme: str) -> None:
    page = seen.page
    details = f"mesh/{seen.mesh['b'].status().node.id}"
    for place in ("mesh", details, "policy", "tokens", "routes", "dns", "events", "traffic"):
        view = place.partition("/")[0]
        page.run(f"location.hash = '#{place}'")
        page.wait(f"document.querySelector('#tab-{view}').hasAttribute('aria-current')")
        assert accessible.nameless(page) == []
        assert "status" in accessible.announced(page)
        assert accessible.faint(page, theme) == [], place
        reached = [*accessible.tabbed(page, ".skip")]
        assert any(f"tab-{view}" in each for each in reached)
        assert accessible.out_of_order(page) == 0


def test_the_graph_is_told_as_a_list_too(seen: Seen) -> None:
    page = seen.page
    page.run("location.hash = '#mesh'")
    page.wait("Boolean(document.querySelector('.graph canvas'))")
    page.wait_text("mine")
    told = accessible.nodes(page)
    (graph,) = [each for each in told if accessible.role(each) == "application"]
    assert "The list below has the same" in str(graph["description"]["value"])
    listed = {accessible.name(each) for each in told if accessible.role(each) == "button"}
    assert {each.name for each in seen.mesh["a"].status().peers} <= listed


def test_a_key_that_is_revoked_is_shown_the_door(seen: Seen) -> None:
    with seen.asked() as client:
        ApiKeyCalls(client).revoke_api_key("writes")
    seen.page.wait_text("it was revoked")
    assert "cam-7" not in seen.page.text


def test_who_takes_the_port_of_a_node_that_is_gone_is_shown_no_key(seen: Seen) -> None:
    page, node = seen.page, seen.mesh["a"]
    page.run("window.patiently = setTimeout, window.setTimeout = (what, time) => patiently(what, time / 20), 0")
    seen.sign_in(seen.key("stays", "read"))
    seen.go("events")
    page.wait("document.querySelector('main [role=status]').textContent === 'live'")
    other = node.host.popen([sys.executable, "-c", OTHERS])
    node.kill()
    page.wait_text("The node is out of touch")
    wait_until(lambda: "taken" in other.text(), "another program has the port", PATIENCE)
    page.run("new Promise((done) => patiently(done, 1000))")
    assert "Bearer" not in other.text()
    # It does answer, and hears what a page that goes on would have sent.
    seen.sign_in("plk_typed-all-the-same")
    wait_until(lambda: "plk_typed-all-the-same" in other.text(), "the other program is asked", PATIENCE)
