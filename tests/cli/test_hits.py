"""`pulse acl hits` against a control socket."""

import json

from pulse.wording import DASH
from tests.api.fake_acls import OPEN
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_flows_of_all_nodes_are_shown_by_rule_with_who_counted_them_and_when(
    shell: Shell, control: FakeControl
) -> None:
    header, sql, timed, end, foot = shell.node("acl", "hits").out.splitlines()

    assert header.split() == ["#", "FLOWS", "LAST", "NODES", "RULE"]
    assert sql.split()[:10] == ["1", "17", "2023-11-14T22:13:20Z", "db", "9,", "laptop", "8", "and", "1", "more"]
    assert timed.split()[:5] == ["2", "0", DASH, DASH, "deny"]
    assert end.split()[:5] == ["end", "4", "2023-11-14T22:14:20Z", "db", "4"]
    assert foot == "counted by all nodes, summed by relay-01"
    assert json.loads(shell.node("acl", "hits", "--json").out)["rules"][0]["nodes"][1] == {"node": "laptop", "flows": 8}


def test_those_of_this_node_are_shown_by_themselves(shell: Shell, control: FakeControl) -> None:
    control.hits.refusal = "relay-01 is no operator"
    lines = shell.node("acl", "hits", "--here").out.splitlines()

    assert [line.split()[:3] for line in lines[:3]] == [
        ["#", "FLOWS", "RULE"],
        ["1", "8", "allow"],
        ["end", "0", "deny"],
    ]
    assert lines[3] == "counted by laptop alone, since it started"
    refused = shell.node("acl", "hits")
    assert (refused.code, refused.out) == (3, "")
    assert "is no operator" in refused.err


def test_without_rules_nothing_is_counted(shell: Shell, control: FakeControl) -> None:
    control.hits.held = control.hits.held.__class__("0.1", OPEN.open, "relay-01", False, [])

    assert shell.node("acl", "hits").out == "no rules: everybody may reach everybody\n"
