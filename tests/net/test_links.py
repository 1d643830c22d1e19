"""Links: the fake that all service tests stand on speaks the same protocol as the data plane."""

import inspect

import pytest

from pulse.net.links import JoinLane, Links
from tests.fakes import FakeLane, FakeLinks

METHODS = [name for name in vars(Links) if not name.startswith("_")]


def test_the_fake_is_one_of_the_protocol() -> None:
    links: Links = FakeLinks()
    lane: JoinLane = FakeLane()

    assert (links.drops(), lane.leaf) == ({}, b"")


@pytest.mark.parametrize("name", METHODS)
def test_the_fake_takes_what_the_protocol_takes(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (FakeLinks, Links))

    assert list(ours.parameters.values()) == list(theirs.parameters.values())
    assert inspect.iscoroutinefunction(getattr(FakeLinks, name)) is inspect.iscoroutinefunction(getattr(Links, name))
