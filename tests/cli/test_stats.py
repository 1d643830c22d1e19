"""`pulse stats` against a control socket."""

import json

from msgspec import structs

from pulse.wording import DASH
from tests.api.fake_control import FakeControl
from tests.api.fake_stats import REFUSAL
from tests.cli.shell import Shell


def test_the_traffic_of_all_nodes_is_shown_with_rates_and_connections(shell: Shell, control: FakeControl) -> None:
    header, relay, db, foot = shell.node("stats").out.splitlines()

    assert header.split() == ["NODE", "TX", "TX/S", "RX", "RX/S", "CONNS"]
    assert relay.split() == ["relay-01", "4.1", "kB", "1.5", "kB/s", "12.0", "GB", "0", "B/s", "2"]
    assert db.split() == ["db-server", "0", "B", DASH, "812", "B", DASH, "0"]
    assert foot == "counted by all nodes, summed by relay-01"
    assert json.loads(shell.node("stats", "--json").out)["rows"][0]["bytes_in"] == 12_000_000_000


def test_one_node_is_shown_with_its_peers(shell: Shell, control: FakeControl) -> None:
    header, row, foot = shell.node("stats", "relay-01").out.splitlines()

    assert header.split()[0] == "PEER"
    assert row.split() == ["db-server", "1.0", "MB", "5", "B/s", "812", "B", DASH, "0"]
    assert foot == "counted by relay-01 since it started"


def test_who_may_not_know_is_told_so(shell: Shell, control: FakeControl) -> None:
    refused = shell.node("stats", "db-server")
    assert (refused.code, refused.out, refused.err) == (3, "", f"error: {REFUSAL}\n")

    control.stats.held = structs.replace(control.stats.held, whole=False, problem="this node is no operator")
    assert shell.node("stats").out.splitlines()[-1] == "of this node alone: this node is no operator"


def test_where_nothing_moved_that_is_said(shell: Shell, control: FakeControl) -> None:
    control.stats.held = structs.replace(control.stats.held, rows=[])

    assert shell.node("stats").out.splitlines()[0] == "no node has reported yet"
