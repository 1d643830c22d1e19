"""What is heard of the whole config is strict, and what is as it is anyway is not written."""

import msgspec
import pytest

from pulse.schemas.config import ConfigFile, ConfigWanted, FileRule


def test_a_rule_says_what_is_not_as_it_is_anyway() -> None:
    assert msgspec.json.encode(FileRule(source="a", destination="*")) == b"""{"from":"a","to":"*"}"""


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"""{"file":{}}""",
        b"""{"file":{"settings":{"mesh_cidr":"x"}},"dry_run":true}""",
        b"""{"file":{"settings":{"mesh_cidr":"x"},"acls":[]}}""",
        b"""{"file":{"settings":{"mesh_cidr":"x"},"zones":[{"name":"a","type":"A","value":"x","ttl":0}]}}""",
    ],
)
def test_what_is_not_known_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=ConfigWanted)


def test_the_sections_stand_in_their_order() -> None:
    assert ConfigFile.__struct_fields__[:5] == ("settings", "names", "tags", "groups", "acl")
