"""Hosts are addresses or names in one form; what means several things is refused."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.network.hosttext import NAME_LIMIT, check_address, is_bare_id, read_host
from pulse.errors import ProtocolError, Refused


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("postgres.vm-01.pulse", "postgres.vm-01.pulse"),
        ("Example.COM.", "example.com"),
        ("_srv.example.com", "_srv.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("4be27a3391c0", "4be27a3391c0"),
        ("123456789012", "123456789012"),
        ("10.100.9.140", ip_address("10.100.9.140")),
        ("FD7A:91C2::33", ip_address("fd7a:91c2::33")),
        ("2001:db8:0:0::1", ip_address("2001:db8::1")),
    ],
)
def test_a_host_has_one_form(text: str, host: object) -> None:
    assert read_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        ".a",
        "-a.b",
        "a b",
        "a\0.pulse",
        "a/b",
        "user@host",
        "[::1]",
        "bücher.example",
        "\uff11\uff12\uff17.0.0.1",
        "a\u3002b",
        "x" * 64,
        ".".join(["a" * 60] * 5),
        "fe80::1%eth0",
        "::ffff:1.2.3.4.5",
        "1:2",
        "host:22",
    ],
)
def test_what_is_no_host_is_a_breach_of_the_protocol_or_refused(text: str) -> None:
    with pytest.raises((ProtocolError, Refused)):
        read_host(text)


@pytest.mark.parametrize(
    "text",
    [
        *("127.1", "2130706433", "01770000001", "0x7f000001", "0x7f.1", "0x7f.0.0.1", "127.0.0.01", "0177.0.0.1"),
        *("1.2.3", "1.2.3.4.5", "256.1.1.1", "10.0.0.1.", "example.123", "example.0x1"),
        *("127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST.", "a.localhost"),
        *("0" + ".0" * 3, "0.1.2.3", "::", "255.255.255.255", "240.0.0.1"),
        *("::ffff:10.100.1.2", "::ffff:127.0.0.1", "fe80::1", "fe80::1%1", "169.254.1.1", "169.254.169.254"),
        *("fd00:ec2::254", "224.0.0.1", "ff02::1"),
    ],
)
def test_odd_addresses_are_refused_in_words(text: str) -> None:
    with pytest.raises((Refused, ProtocolError)) as refusal:
        read_host(text)
    assert "\n" not in str(refusal.value)


def test_a_number_of_twelve_digits_is_an_id_and_nothing_else() -> None:
    """So is 127.0.0.1 in octal, which is looked for among the nodes and shown to no resolver."""
    assert is_bare_id("123456789012")
    assert is_bare_id("017700000001")
    assert not is_bare_id("1234567890")
    assert not is_bare_id("123456789012.1")


@given(st.text(max_size=300))
def test_whatever_is_read_is_an_address_that_may_be_or_a_plain_name(text: str) -> None:
    try:
        host = read_host(text)
    except (ProtocolError, Refused):
        return
    if not isinstance(host, str):
        assert check_address(host) == host
        return
    assert host.isascii()
    assert len(host) <= NAME_LIMIT
    assert read_host(host) == host
