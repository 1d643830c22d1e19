"""Addresses: two parts that come apart and together again, and nothing else passes for one."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.addresses import is_ip, join, split


@given(st.ip_addresses(), st.integers(1, 65535))
def test_what_is_joined_is_split_again(host: IPv4Address | IPv6Address, port: int) -> None:
    assert split(join(str(host), port)) == (str(host), port)
    assert is_ip(str(host))


def test_a_name_is_no_ip_address() -> None:
    assert split("vm-01.example:443") == ("vm-01.example", 443)
    assert not is_ip("vm-01.example")


def test_every_address_of_a_machine_is_written_without_a_host() -> None:
    assert split(":443") == ("", 443)
    assert join("", 443) == ":443"


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        host, port = split(text)
    except ValueError:
        return
    assert split(join(host, port)) == (host, port)


@pytest.mark.parametrize(
    "text", ["relay", "relay:0", "relay:65536", "relay:\u0663", "::1:443", "[x]:443", "[192.0.2.1]:443", "a b:1"]
)
def test_what_is_no_address_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ValueError, match="Write host:port"):
        split(text)
