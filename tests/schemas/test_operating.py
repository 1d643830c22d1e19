"""Schemas of a node that is run as a service: what a later release adds is no error."""

import msgspec

from pulse.core.symptoms import Running
from pulse.schemas.operating import Checkup


def test_a_checkup_of_a_later_release_says_more_and_is_read() -> None:
    told = Checkup(1, "/d", 443, True, "pulse0", "10.100.0.0/16", [], Running(version="1.2.3"))
    said = msgspec.to_builtins(told)
    said["running"]["later"] = said["later"] = 1

    assert msgspec.convert(said, Checkup).running.version == "1.2.3"
