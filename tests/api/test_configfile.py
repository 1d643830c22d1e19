"""The whole network as a file: put by nobody who saw another config, and planned by anybody."""

from pathlib import Path

import pytest

from pulse.schemas.config import ConfigFile, ConfigWanted, FileSettings
from tests.api.fake_control import FakeControl
from tests.api.http import say

WHOLE = b'{"file":{"settings":{"mesh_cidr":"10.100.0.0/16"}}}'
FILE = "/api/config/file HTTP/1.1\nContent-Type: application/json"


def test_the_file_is_told_with_its_tag_and_put_by_whoever_saw_it(place: Path, control: FakeControl) -> None:
    _, headers, body = say(place, "GET /api/config/file HTTP/1.1")
    assert headers["etag"] == '"1.7"'
    assert body["acl"][0] | {"note": ""} == {
        "id": "r1", "from": ["tag:backend"], "to": ["tag:db"], "proto": ["tcp"], "ports": ["5432"],
        "expires": 1_790_000_000.0, "note": "",
    }  # fmt: skip

    status, headers, plan = say(place, f'PUT {FILE}\nIf-Match: "1.7"', WHOLE)
    assert (status, headers["etag"], plan["applied"]) == (200, '"1.8"', True)
    wanted = ConfigWanted(ConfigFile(settings=FileSettings("10.100.0.0/16")))
    assert control.asked == [(wanted, (1, 7))]


@pytest.mark.parametrize(("tag", "status"), [("", 428), ('\nIf-Match: "1.6"', 412)])
def test_a_file_is_put_by_nobody_who_saw_another_config(
    place: Path, control: FakeControl, tag: str, status: int
) -> None:
    assert say(place, f"PUT {FILE}{tag}", WHOLE)[0] == status
    assert not control.asked


def test_a_plan_changes_nothing_and_needs_no_tag(place: Path, control: FakeControl) -> None:
    status, _, plan = say(place, "POST /api/config/plan HTTP/1.1\nContent-Type: application/json", WHOLE)

    assert (status, plan["applied"]) == (200, False)
    assert [each["change"] for each in plan["changes"]] == ["removed", "changed", "added"]
