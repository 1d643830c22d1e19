"""Rules, tests and groups, as the client asks for them."""

from pathlib import Path

import pytest

from pulse.calls.acls import AclCalls
from pulse.client import Client
from pulse.errors import NotFound, Refused
from pulse.schemas.policy import (
    AssertionRef,
    AssertionRequest,
    Connection,
    FlowRequest,
    GroupRef,
    GroupRequest,
    RuleFile,
    RuleMove,
    RuleRef,
    RuleRequest,
    RuleText,
)
from tests.api.fake_acls import CLOSES, MISTYPED, OPEN, RULED, VERDICT, changed
from tests.api.fake_control import FakeControl

JSON = "Content-Type: application/json"
SSH = Connection("10.100.0.1", "10.100.0.2", 22)


def test_rules_are_told_as_they_stand(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert AclCalls(client).policy() == RULED
        control.acls.held = OPEN
        assert AclCalls(client).policy().open


def test_every_edit_reaches_the_node_as_it_was_meant(place: Path, control: FakeControl) -> None:
    asked = (
        RuleRequest(source="web", destination=["db", "tag:prod"], ports=["22", 80], ttl=5.0, place=1),
        RuleRef(index=1),
        RuleMove(id="r7", place=1),
        FlowRequest("laptop", "db-server", "", 5432),
        RuleFile([RuleText(source="web", destination="db", action="deny")]),
        AssertionRequest(source="web", destination="db", expect="deny", port=22),
        AssertionRef(id="t1"),
        GroupRequest("ops", ["web"], dry_run=True),
    )
    with Client(place) as client:
        assert AclCalls(client).add_rule(asked[0]).version == "1.8"
        assert AclCalls(client).remove_rule(asked[1]).opens
        AclCalls(client).move_rule(asked[2])
        assert AclCalls(client).explain(asked[3]) == VERDICT
        assert AclCalls(client).diff_rules(asked[4]) == changed(None, dry_run=True)
        AclCalls(client).add_test(asked[5])
        AclCalls(client).remove_test(asked[6])
        assert AclCalls(client).set_group(asked[7]).dry_run
        with pytest.raises(Refused, match="in use"):
            AclCalls(client).remove_group(GroupRef("ops"))

    assert control.asked == [*asked, GroupRef("ops")]


def test_what_is_refused_arrives_whole(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        with pytest.raises(NotFound) as mistyped:
            AclCalls(client).add_rule(RuleRequest(source=["tag:backendx"], destination="*"))
        with pytest.raises(Refused) as closes:
            AclCalls(client).add_rule(RuleRequest(source="*", destination="*", action="deny", through=SSH))
        AclCalls(client).add_rule(RuleRequest(source="*", destination="*", action="deny", through=SSH, force=True))

    assert (str(mistyped.value), str(closes.value)) == (MISTYPED, CLOSES)
