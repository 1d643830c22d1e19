"""The whole network config: as it is, what a file would change, and a file put in its place."""

from pathlib import Path

import pytest
from msgspec import structs

from pulse.calls.config import ConfigCalls
from pulse.client import Client
from pulse.errors import Conflict, NotFound
from pulse.schemas.config import ConfigWanted
from tests.api.fake_configs import FILE
from tests.api.fake_control import FakeControl

BARE = structs.replace(FILE, groups={}, names={})


def test_a_file_is_put_in_place_of_the_version_it_was_planned_on(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        calls = ConfigCalls(client)
        assert calls.config_file() == FILE
        planned = calls.plan_config(ConfigWanted(BARE)).version
        assert calls.apply_config(ConfigWanted(BARE), planned).applied

    assert control.asked[-1] == (ConfigWanted(BARE), (1, 7))


def test_what_somebody_else_edited_meanwhile_is_not_written_over(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(Conflict, match="by now"):
        ConfigCalls(client).apply_config(ConfigWanted(structs.replace(FILE, groups={})), "1.7")


def test_a_mistyped_word_is_told_with_its_rule(place: Path, control: FakeControl) -> None:
    wrong = structs.replace(BARE, acl=[structs.replace(FILE.acl[0], source="backendx")])
    with Client(place) as client, pytest.raises(NotFound, match="rule 1"):
        ConfigCalls(client).plan_config(ConfigWanted(wrong))
