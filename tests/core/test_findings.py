"""What checks say is told the gravest first, and one that could not look finds nothing."""

from pulse.core.doctor import examine
from pulse.core.findings import Gravity, Unseen
from pulse.core.symptoms import Machine, Symptoms


def test_the_gravest_come_first_and_what_could_not_be_seen_is_apart() -> None:
    machine = Machine(data_dir="/d", closed="use sudo", refusing=True, disk_problem="full", mtus={"e0": 1200})
    found = examine(Symptoms(machine))

    gravities = [each.gravity for each in found.findings]
    assert gravities == sorted(gravities, reverse=True)
    assert {Gravity.BROKEN, Gravity.WARNING} <= {*gravities}
    assert ("state", "use sudo") in found.unseen
    assert "state" not in found.well
    assert Unseen("why").why == "why"
