"""The cable to a router whose words are the test's, and a router that is given up soon."""

from collections.abc import Iterator

import pytest

from pulse.net.portmap import datagrams, ssdp
from tests.net.portmap.cable import Cable, laid


@pytest.fixture(scope="module")
def cable() -> Iterator[Cable]:
    with laid() as built:
        yield built


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is told from an answer in about a second."""
    monkeypatch.setattr(datagrams, "PAUSES", (0.1, 0.3, 0.8))
    monkeypatch.setattr(ssdp, "PAUSES", (0.3, 0.7))
