"""Calls about zone records, over a real control socket."""

from pathlib import Path

from pulse.calls.dns import DnsCalls
from pulse.client import Client
from pulse.schemas.dns import RecordRef, RecordRequest
from tests.api.fake_control import FakeControl, serving


def test_every_call_says_what_is_wanted_and_reads_what_comes(tmp_path: Path) -> None:
    with serving(tmp_path / "s", FakeControl()) as control, Client(tmp_path / "s") as client:
        calls = DnsCalls(client)
        assert [each.name for each in calls.records()] == ["db.pulse"]
        assert calls.add(RecordRequest("lan", "A", "10.9.0.1")).version == "1.8"
        assert calls.remove(RecordRef("db.pulse", "CNAME")).records == calls.records()
    assert control.asked == [RecordRequest("lan", "A", "10.9.0.1"), RecordRef("db.pulse", "CNAME")]
