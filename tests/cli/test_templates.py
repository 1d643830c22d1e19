"""`pulse template`, and tokens made from one, against a control socket."""

from pulse.schemas.config import TemplateRequest
from pulse.schemas.tokens import TokenRequest
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_templates_are_listed(shell: Shell, control: FakeControl) -> None:
    rows = [line.split() for line in shell.node("template", "list").out.splitlines()]
    assert rows == [["TEMPLATE", "TAGS", "NAME", "TTL", "USES"], ["web", "web", "web-*", "1", "hour", "1", "machine"]]

    control.templates.there = []
    assert "pulse template set" in shell.node("template").out


def test_a_template_is_set(shell: Shell, control: FakeControl) -> None:
    done = shell.node("template", "set", "db", "--tag", "db", "--tag", "prod", "--name", "db-*", "--ttl", "4h")

    assert done.out == "set template db; use it: pulse invite --template db\n"
    assert control.asked == [TemplateRequest("db", ["db", "prod"], "db-*", 14400.0)]


def test_a_template_is_taken_away(shell: Shell, control: FakeControl) -> None:
    assert shell.node("template", "remove", "web").out == "removed template web\n"
    assert shell.node("template", "remove", "gone").code == 4


def test_what_a_template_filled_in_is_shown_beside_the_token(shell: Shell, control: FakeControl) -> None:
    plain = shell.node("token", "create", "--template", "web").err.splitlines()
    more = shell.node("invite", "--template", "web", "--ttl", "1h", "--tag", "x", "--name", "db").err.splitlines()

    assert plain == [
        "good for 4 hours and one machine, called web-1",
        "by template web: tags web, name web-1, ttl 4 hours, uses 1",
    ]
    assert more[1] == "by template web: tags web"
    assert "template" not in shell.node("invite").err


def test_what_is_said_goes_before_what_a_template_says(shell: Shell, control: FakeControl) -> None:
    shell.node("token", "create", "--template", "web")
    shell.node("invite", "--template", "web")
    shell.node("invite", "--template", "web", "--ttl", "1h", "--tag", "x")
    shell.node("invite")

    assert control.asked == [
        TokenRequest(template="web"),
        TokenRequest(template="web"),
        TokenRequest(3600.0, tags=["x"], template="web"),
        TokenRequest(),
    ]
