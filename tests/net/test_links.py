"""Links: the fake that all service tests stand on speaks the same protocol as the data plane."""

import inspect

import pytest

from pulse.client import SCRIBE_PATIENCE, TIMEOUT
from pulse.net.links import CLIENT_PATIENCE, JoinLane, Links
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


def test_a_client_waits_longer_than_the_node_it_asks() -> None:
    """An edit waits twice: for the scribe's answer, and for its config to come here."""
    assert CLIENT_PATIENCE < TIMEOUT
    assert 2 * CLIENT_PATIENCE < TIMEOUT + SCRIBE_PATIENCE
