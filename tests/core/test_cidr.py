"""What is a range, for every node of a mesh alike."""

from ipaddress import ip_network

import pytest

from pulse.core.cidr import range_of


@pytest.mark.parametrize("text", ["192.168.7.0/24", "0.0.0.0/0", "10.0.0.1", "::/0", "fd00::/8", "2001:db8::1/128"])
def test_a_range_is_what_it_says(text: str) -> None:
    assert range_of(text) == ip_network(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "lan", "192.168.7.1/24", "10.0.0.0/33", "10.0.0.0/8/8", "010.0.0.0/8"),
        *("fe80::/10%eth0", "fe80::1%eth0/128", "2001:db8:20::1%x/128", "::%1/0"),
        *("::ffff:1.2.3.0/120", "::ffff:102:300/120", "::ffff:0:0/96"),
    ],
)
def test_what_means_something_here_alone_or_is_spelled_in_two_ways_is_none(text: str) -> None:
    assert range_of(text) is None
