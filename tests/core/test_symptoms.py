"""Symptoms: a machine of which nothing is known but its directory is one that could not be seen, not a well one."""

from pulse.core.doctor import examine
from pulse.core.symptoms import Machine, Symptoms


def test_what_is_not_known_is_not_called_well() -> None:
    found = examine(Symptoms(Machine(data_dir="/d", tun_wanted=True)))

    assert {name for name, _ in found.unseen} == {"disk", "rights", "buffers", "mtu", "firewall", "files"}
