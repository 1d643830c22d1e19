"""A check-up, through the real client."""

from pathlib import Path

from pulse.client import Client
from pulse.schemas.operating import Checkup
from tests.api.fake_control import FakeControl


def test_a_checkup_arrives_whole(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        told = client.call("GET", "/api/doctor", Checkup)

    assert told.data_dir == "/nowhere/data"
    assert [each.address for each in told.running.missing] == [each.address for each in control.doctor.running.missing]
