"""How the demo asks nodes and reads what they say."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pulse.errors import NotFound, PulseError
from pulse.lab.demo import stage
from pulse.lab.host import Host, Output
from pulse.lab.lab import Lab
from pulse.lab.state import Record, StateFile
from pulse.schemas.node import Status
from tests.api.fake_control import IDENTITY, peer
from tests.namespace import require_root

STATUS = Status(
    True, "All well.", IDENTITY, "1", 1.0, ":443", "pulse0", 7e6, [peer("laptop"), peer("cam", link="-")], {}
)


class Telling(Host):
    """A host whose pulse always answers the same."""

    def pulse(self, *arguments: str, check: bool = True, timeout: float = 1.0, stdin: str = "") -> Output:
        assert arguments == ("status", "--json")
        return Output(0, msgspec.json.encode(STATUS).decode(), "")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Telling("relay", "none", tmp_path, (), StateFile(Record("x", None), tmp_path))


@pytest.fixture
def lab() -> Iterator[Lab]:
    require_root()
    with Lab() as lab:
        yield lab


def test_a_node_is_seen_with_a_path_only(host: Host) -> None:
    assert stage.status(host) == STATUS
    assert stage.sees(host, "laptop")
    assert not stage.sees(host, "cam")
    assert not stage.sees(host, "nobody")
    assert stage.seen_by(host, "cam").link == "-"


def test_a_node_nobody_knows_is_named(host: Host) -> None:
    with pytest.raises(NotFound, match="the node of relay knows no nobody"):
        stage.seen_by(host, "nobody")


def test_pings_are_averaged_and_silence_is_an_error(lab: Lab) -> None:
    assert 0 < stage.ping(lab["a"], str(lab["b"].v4.ip)) < 1000
    with pytest.raises(PulseError, match="ping"):
        stage.ping(lab["a"], "198.18.0.77")
