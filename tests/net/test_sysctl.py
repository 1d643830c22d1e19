"""Settings of the kernel, in a namespace."""

import pytest

from pulse.errors import SystemRefused
from pulse.net import sysctl
from tests.namespace import inside, namespace

FORWARD = "net/ipv4/ip_forward"


def test_a_setting_is_read_and_changed_and_one_that_is_not_there_is_named() -> None:
    with namespace() as name, inside(name):
        assert sysctl.read(FORWARD) == "0"
        sysctl.write(FORWARD, "1")
        assert (sysctl.read(FORWARD), sysctl.read("net/ipv4/nonsense")) == ("1", None)
        with pytest.raises(SystemRefused, match=r"sysctl -w net\.ipv4\.nonsense=1"):
            sysctl.write("net/ipv4/nonsense", "1")
        assert sysctl.interfaces("ipv6") == ["lo"]
