"""This machine's resolver through the real client and its calls."""

from pathlib import Path

import pytest

from pulse.calls.resolver import ResolverCalls
from pulse.client import Client
from pulse.errors import NotFound, SystemRefused
from tests.api.fake_control import FakeControl
from tests.api.fake_resolver import TOLD, UNTOLD


def test_it_is_told_and_left_as_it_was(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        calls = ResolverCalls(client)

        assert calls.state() == UNTOLD
        assert calls.set_up() == TOLD
        assert calls.state() == TOLD
        assert calls.take_back() == UNTOLD

    assert control.asked == ["set up", "take back"]


def test_what_is_refused_arrives_whole(place: Path, control: FakeControl) -> None:
    control.resolver.refusal = SystemRefused("neither runs here.\nType: server=/pulse/127.0.0.1#5353")

    with Client(place) as client:
        with pytest.raises(SystemRefused, match=r"neither runs here\.\nType: server="):
            ResolverCalls(client).set_up()
        with pytest.raises(NotFound, match="pulse setup dns"):
            ResolverCalls(client).take_back()
