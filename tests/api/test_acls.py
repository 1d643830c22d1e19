"""Rules through the real client, and as the reference's bodies have them."""

from pathlib import Path

import pytest

from pulse import policyschemas as said
from pulse.client import Client
from pulse.errors import NotFound, Refused
from tests.api.fake_acls import CLOSES, MISTYPED, OPEN, RULED, VERDICT, changed
from tests.api.fake_control import FakeControl
from tests.api.http import say

JSON = "Content-Type: application/json"
SSH = said.Connection("10.100.0.1", "10.100.0.2", 22)


def test_rules_are_told_as_they_stand(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert client.policy() == RULED
        control.acls.held = OPEN
        assert client.policy().open


def test_every_edit_reaches_the_node_as_it_was_meant(place: Path, control: FakeControl) -> None:
    asked = (
        said.RuleRequest(source="web", destination=["db", "tag:prod"], ports=["22", 80], ttl=5.0, place=1),
        said.RuleRef(index=1),
        said.RuleMove(id="r7", place=1),
        said.FlowRequest("laptop", "db-server", "", 5432),
        said.RuleFile([said.RuleText(source="web", destination="db", action="deny")]),
        said.AssertionRequest(source="web", destination="db", expect="deny", port=22),
        said.AssertionRef(id="t1"),
        said.GroupRequest("ops", ["web"], dry_run=True),
    )
    with Client(place) as client:
        assert client.add_rule(asked[0]).version == "1.8"
        assert client.remove_rule(asked[1]).opens
        client.move_rule(asked[2])
        assert client.explain(asked[3]) == VERDICT
        assert client.diff_rules(asked[4]) == changed(None, dry_run=True)
        client.add_test(asked[5])
        client.remove_test(asked[6])
        assert client.set_group(asked[7]).dry_run
        with pytest.raises(Refused, match="in use"):
            client.remove_group(said.GroupRef("ops"))

    assert control.asked == [*asked, said.GroupRef("ops")]


def test_what_is_refused_arrives_whole(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        with pytest.raises(NotFound) as mistyped:
            client.add_rule(said.RuleRequest(source=["tag:backendx"], destination="*"))
        with pytest.raises(Refused) as closes:
            client.add_rule(said.RuleRequest(source="*", destination="*", action="deny", through=SSH))
        client.add_rule(said.RuleRequest(source="*", destination="*", action="deny", through=SSH, force=True))

    assert (str(mistyped.value), str(closes.value)) == (MISTYPED, CLOSES)


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("POST /api/acls", b'{"action":"allow","from":"tag:backend","to":"tag:db","ports":["22","8000-8100"]}', 200),
        ("DELETE /api/acls", b'{"index":1}', 200),
        ("DELETE /api/acls", b'{"id":"r1"}', 200),
        ("POST /api/acls/explain", b'{"source":"laptop","destination":"db-server","port":5432}', 200),
        ("POST /api/acls", b'{"from":"tag:backend"}', 400),
        ("POST /api/acls", b'{"from":"a","to":"b","action":"maybe"}', 400),
        ("POST /api/acls", b'{"from":"a","to":"b","port":22}', 400),
        ("POST /api/acls", b'{"from":"a","to":"b","ttl":-1}', 400),
        ("POST /api/acls", b'{"from":"a","to":"b","note":"' + b"x" * 201 + b'"}', 400),
        ("POST /api/acls", b'{"from":[],"to":"b"}', 400),
        ("DELETE /api/acls", b'{"index":-1}', 400),
        ("PUT /api/acls", b'{"index":1}', 405),
        ("POST /api/acls/explain", b'{"source":"laptop","destination":"db-server","port":65536}', 400),
    ],
)
def test_bodies_are_those_of_the_reference_and_strict(
    place: Path, control: FakeControl, head: str, body: bytes, status: int
) -> None:
    assert say(place, f"{head} HTTP/1.1\n{JSON}", body)[0] == status
    assert bool(control.asked) is (status == 200)
