"""Ranges: what a mesh may be, and what it may not hide."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from pulse.core.network.ranges import NEVER, NOT_PUBLIC, PUBLIC_V6, is_public, mesh_range
from pulse.errors import ConfigError

VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.mark.parametrize("text", ["10.100.0.0/16", "192.168.7.0/24", "100.64.0.0/10", "172.16.0.0/29"])
def test_private_and_shared_ranges_can_be_a_mesh(text: str) -> None:
    assert str(mesh_range(text)) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hello", "no IPv4 range"),
        ("10.0.0.1/16", "no IPv4 range"),
        ("fd00::/48", "no IPv4 range"),
        ("10.0.0.0/30", "too small"),
        ("0.0.0.0/0", "range inside"),
        ("8.8.8.0/24", "range inside"),
        ("127.0.0.0/8", "range inside"),
        ("172.0.0.0/8", "range inside"),
    ],
)
def test_other_ranges_are_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        mesh_range(text)


def test_the_error_begins_with_what_people_typed() -> None:
    with pytest.raises(ConfigError, match=r"^--mesh-cidr: "):
        mesh_range("8.8.8.0/24", "--mesh-cidr")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((each, True) for each in ("8.8.8.8", "198.18.0.9", "2001:db8::1")),
        *((each, False) for each in ("10.0.0.1", "100.64.0.1", "192.0.0.8", "169.254.169.254", "224.0.0.1")),
        *((each, False) for each in ("fd00::1", "fe80::1", "::1")),
    ],
)
def test_the_internet_is_what_is_neither_private_nor_of_a_machine_alone(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


def test_both_floors_agree_on_what_is_public_at_each_border_of_each_range() -> None:
    """The data plane reads the same file (`addresses.rs`); a range that is added here has to be in it."""
    told = dict(line.split() for line in (VECTORS / "public.txt").read_text().splitlines())
    for cidr in (*NEVER, *NOT_PUBLIC, PUBLIC_V6):
        first, last = int(cidr.network_address), int(cidr.broadcast_address)
        for number in (first - 1, first, last, last + 1):
            if 0 <= number < 1 << cidr.max_prefixlen:
                assert str(type(cidr.network_address)(number)) in told, cidr
    for text, public in told.items():
        assert is_public(ip_address(text)) is (public == "public"), text
