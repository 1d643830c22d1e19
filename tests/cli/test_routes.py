"""`pulse route`: what is offered, by whom it was approved, and one line for each change."""

import pytest
from msgspec import json, structs

from pulse.errors import NotFound
from pulse.schemas.routes import RouteRef, RouteRequest
from pulse.wording import DASH
from tests.api import fake_routes
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_the_list_says_what_is_offered_and_not_approved(shell: Shell, control: FakeControl) -> None:
    del control
    rows = shell.node("route", "list").out.splitlines()

    assert rows[0].split() == ["RANGE", "NODE", "BEHIND", "IT", "APPROVED", "BY", "STATE"]
    assert rows[1].split() == ["0.0.0.0/0", "relay-01", DASH, DASH, "offered"]
    assert json.decode(shell.node("route", "list", "--json").out)[0]["state"] == "offered"


def test_a_change_says_what_was_done_and_which_config_has_it(shell: Shell, control: FakeControl) -> None:
    done = shell.node("route", "approve", "0.0.0.0/0", "--node", "relay-01")
    shell.node("route", "add", "relay-01", "192.168.7.0/24", "--mapped", "10.7.7.0/24")
    shell.node("route", "remove", "0.0.0.0/0")

    assert done.out == "approved 0.0.0.0/0 through relay-01\nnetwork config 1.7\n"
    assert control.asked == [
        RouteRef("0.0.0.0/0", "relay-01"),
        RouteRequest("relay-01", "192.168.7.0/24", "10.7.7.0/24"),
        RouteRef("0.0.0.0/0"),
    ]


def test_a_range_that_nobody_offers_is_not_found(shell: Shell, control: FakeControl) -> None:
    del control
    done = shell.node("route", "approve", "10.0.0.0/8")

    assert (done.code, "no node offers" in done.err) == (NotFound.exit_code, True)


def test_of_an_exit_that_failed_it_says_why(
    shell: Shell, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    del control
    failed = structs.replace(fake_routes.ROUTE, state="failed", why="its machine has no route there")
    monkeypatch.setattr(fake_routes, "ROUTE", failed)

    assert shell.node("route", "list").out.splitlines()[1].endswith("failed: its machine has no route there")
