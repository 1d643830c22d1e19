"""`pulse acl` against a control socket."""

import json

import pytest

from pulse.schemas.policy import (
    Connection,
    FlowRequest,
    RuleFile,
    RuleMove,
    RuleRef,
    RuleRequest,
)
from tests.api.fake_acls import CLOSES, MISTYPED, OPEN
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell

RULES = """
[[rules]]
from = "tag:backend"
to = ["tag:db", "a3f2*"]
proto = ["tcp"]
ports = [5432, "8000-8100"]

[[rules]]
action = "deny"
from = "*"
to = "tag:db"
expires = 2026-09-21T14:13:20Z
window = "mon-fri,09:00-18:00"
redundant = true
"""


@pytest.fixture(autouse=True)
def outside_of_ssh(shell: Shell) -> None:
    shell.environment["SSH_CONNECTION"] = "-"


# Looking


def test_the_list_shows_every_rule_in_its_place(shell: Shell, control: FakeControl) -> None:
    done = shell.node("acl", "list")

    header, sql, timed = done.out.splitlines()
    assert header.split() == ["#", "ACTION", "FROM", "TO", "PROTO", "PORTS", "TIME", "NOTE"]
    assert sql.split()[:6] == ["1", "allow", "tag:bac…", "tag:db", "tcp", "5432"]
    assert timed.split()[:3] == ["2", "deny", "9999999…"]
    assert "until 2026-09-21T14:13:20Z mon-fri 09:00-18:00 UTC (closed now)" in timed


def test_without_rules_it_is_said_what_the_first_one_does(shell: Shell, control: FakeControl) -> None:
    control.acls.held = OPEN

    assert shell.node("acl", "list").out.startswith("no rules: everybody may reach everybody")


def test_an_explanation_names_verdict_nearest_rule_way_out_and_who_enforces_it(
    shell: Shell, control: FakeControl
) -> None:
    done = shell.node("acl", "explain", "laptop", "db-server:5432")

    assert done.out.splitlines() == [
        "DENIED by the end of the list (rules exist, none matched).",
        "nearest: rule 1  allow tag:backend → tag:db tcp 5432      laptop lacks tag:backend",
        "to allow: pulse tag laptop backend",
        "enforced: by laptop before sending; relay-01; db-server",
    ]
    assert control.asked == [FlowRequest("laptop", "db-server", "", 5432)]


@pytest.mark.parametrize(
    ("typed", "node", "port"),
    [("db", "db", 0), ("db:22", "db", 22), ("10.100.0.2:80", "10.100.0.2", 80), ("[fd7a::9]:80", "fd7a::9", 80),
     ("[fd7a::9]", "fd7a::9", 0), ("fd7a::9", "fd7a::9", 0)],
)  # fmt: skip
def test_a_destination_is_a_node_with_or_without_a_port(
    shell: Shell, control: FakeControl, typed: str, node: str, port: int
) -> None:
    shell.node("acl", "explain", "laptop", typed)

    assert control.asked == [FlowRequest("laptop", node, "", port)]


def test_unknown_nodes_and_ports_are_refused_with_the_next_step(shell: Shell, control: FakeControl) -> None:
    nobody = shell.node("acl", "explain", "nobody", "db-server:5432")
    port = shell.node("acl", "explain", "laptop", "db-server:psql")

    assert (nobody.code, nobody.err) == (4, 'error: no node is called "nobody". See the nodes: pulse status\n')
    assert (port.code, port.out) == (2, "")
    assert '"psql" is no port' in port.err


# Edits


def test_a_rule_is_added_as_it_was_typed_and_gains_and_losses_are_told(shell: Shell, control: FakeControl) -> None:
    done = shell.node(
        "acl", "add", "--from", "web,tag:x", "--from", "a3f2*", "--to", "*", "--deny", "--ports", "22,8000-8100",
        "--proto", "tcp,udp", "--expires", "4h", "--window", "mon-fri,09:00-18:00", "--note", "why", "--at", "1",
        "--redundant", "--ahead",
    )  # fmt: skip

    assert control.asked == [
        RuleRequest(
            source=["web", "tag:x", "a3f2*"], destination=["*"], action="deny", ports=["22", "8000-8100"],
            proto=["tcp", "udp"], ttl=14400.0, window="mon-fri,09:00-18:00", note="why", place=1, redundant=True,
            ahead=True,
        )
    ]  # fmt: skip
    assert done.out.splitlines() == [
        "added rule 1 (r1): allow tag:backend → tag:db tcp 5432",
        "gained  laptop → db-server  tcp 5432",
        "lost  cam → n0  all",
        "network config 1.8",
    ]


def test_a_dry_run_says_what_would_come_of_it(shell: Shell, control: FakeControl) -> None:
    done = shell.node("acl", "add", "--from", "web", "--to", "db", "--dry-run")

    assert done.out.startswith("would have added rule 1")
    assert done.out.endswith("nothing is changed\n")


def test_a_mistyped_word_refuses_the_rule_with_the_next_step(shell: Shell, control: FakeControl) -> None:
    done = shell.node("acl", "add", "--from", "tag:backendx", "--to", "tag:db")

    assert (done.code, done.out, done.err) == (4, "", f"error: {MISTYPED}\n")


def test_a_rule_without_a_side_is_refused(shell: Shell, control: FakeControl) -> None:
    assert shell.node("acl", "add", "--from", "web").code == 2
    assert shell.node("acl", "add", "--from", ",", "--to", "db").code == 2
    assert control.asked == []


def test_what_closes_the_ssh_connection_needs_force(shell: Shell, control: FakeControl) -> None:
    shell.environment["SSH_CONNECTION"] = "10.100.0.2 51234 10.100.0.1 22"
    words = ("acl", "add", "--from", "*", "--to", "*", "--deny")
    refused, forced = shell.node(*words), shell.node(*words, "--force")

    assert (refused.code, refused.err, forced.code) == (3, f"error: {CLOSES}\n", 0)
    first = control.asked[0]
    assert isinstance(first, RuleRequest)
    assert first.through == Connection("10.100.0.2", "10.100.0.1", 22)


def test_rules_are_removed_and_moved_by_number_or_id(shell: Shell, control: FakeControl) -> None:
    removed = shell.node("acl", "remove", "1")
    shell.node("acl", "remove", "r7", "--dry-run")
    moved = shell.node("acl", "move", "2", "1")

    assert control.asked == [
        RuleRef(index=1),
        RuleRef(id="r7", dry_run=True),
        RuleMove(index=2, place=1),
    ]
    assert removed.out.splitlines() == [
        "removed rule 1 (r1): allow tag:backend → tag:db tcp 5432",
        "no node that is known gains or loses anything by it",
        "no rules are left: everybody may reach everybody",
        "network config 1.8",
    ]
    assert moved.out.startswith("moved rule 2 (r7): deny 999999999999… → *\n")
    assert shell.node("acl", "remove", "9").code == 4
    assert shell.node("acl", "move", "1", "-1").code == 2


# Tests


def test_a_file_is_checked_without_a_node(shell: Shell) -> None:
    (shell.home / "rules.toml").write_text(RULES)
    done = shell.pulse("acl", "check", "rules.toml")

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "1  allow tag:backend → tag:db a3f2* tcp 5432,8000-8100",
        "2  deny * → tag:db, until 2026-09-21T14:13:20Z, mon-fri 09:00-18:00 UTC, redundant",
        "2 rules, all can be read",
    ]
    assert shell.pulse("acl", "check", "-", given='[{"from": "web", "to": "db"}]').out.startswith("1  allow web → db\n")
    short = shell.pulse("acl", "check", "-", given='[{"from": "web", "to": "db", "ttl": 60}]')
    assert short.out.startswith("1  allow web → db, until 20")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"from": "WEB", "to": "db"}]', 'rule 1: "WEB" is no pattern'),
        ('[{"from": "web", "to": "db"}, {"from": "web", "to": "db", "ports": ["ssh"]}]', 'rule 2: "ssh" is no port'),
        ('[{"from": "web"}]', "missing required field `to`"),
        ("rules = 7", "Expected `array`"),
        ("[[rules", "neither JSON nor TOML"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_place(shell: Shell, text: str, said: str) -> None:
    done = shell.pulse("acl", "check", "-", given=text)

    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_file_is_compared_with_the_rules_in_force(shell: Shell, control: FakeControl) -> None:
    (shell.home / "rules.toml").write_text(RULES)
    done = shell.node("acl", "diff", "rules.toml")

    assert done.out.splitlines()[0] == "gained  laptop → db-server  tcp 5432"
    (asked,) = control.asked
    assert isinstance(asked, RuleFile)
    assert [each.action for each in asked.rules] == ["allow", "deny"]


def test_programs_get_json(shell: Shell, control: FakeControl) -> None:
    rules = json.loads(shell.node("acl", "list", "--json").out)
    assert [each["from"] for each in rules["rules"]] == [["tag:backend"], ["9" * 64]]
    assert json.loads(shell.node("acl", "explain", "laptop", "db", "--json").out)["allowed"] is False
    assert json.loads(shell.node("acl", "add", "--from", "web", "--to", "db", "--json").out)["version"] == "1.8"
    assert json.loads(shell.node("acl", "test", "--json").out)[1]["holds"] is False
