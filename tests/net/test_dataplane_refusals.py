"""What we hand the data plane is what it reads, and what it does not read is an error of ours that names it."""

from itertools import product

import pytest

from pulse.core.cidr import range_of
from pulse.core.effects import Owner, PolicyRule, TablesChanged
from pulse.errors import ProtocolError
from pulse.net.addresses import is_literal
from tests.loopback import node, owners

ODD_HOSTS = ("10.1", "10.0.0.0", "0", "::", "FE80::", "fd00::0:0", "::fffe:0:0", "::ffff:1.2.3.0", "64:ff9b::1.2.3.4")
ODD_LENGTHS = ("", "/0", "/8", "/08", "/32", "/33", "/120", "/128", "/129", "/255.0.0.0", "/0.0.0.255", "/-1")


async def test_what_is_a_range_to_us_is_one_to_the_data_plane() -> None:
    texts = map("".join, product(ODD_HOSTS, ("", "%x", "%1", "%eth0"), ODD_LENGTHS))
    ranges = [str(found) for found in map(range_of, texts) if found is not None]

    with node("alice") as alice:
        own = owners(alice.me)
        alice.links.replace_tables(TablesChanged({}, (*own, *(Owner(each, alice.me.node_id) for each in ranges))))
    assert len(ranges) > len(ODD_HOSTS)


async def test_what_the_data_plane_cannot_read_is_named_and_changes_nothing() -> None:
    with node("alice") as alice:
        odd = Owner("2001:db8::1%x/128", alice.me.node_id)
        with pytest.raises(ProtocolError, match=r"cannot read these tables.*is no prefix"):
            alice.links.replace_tables(TablesChanged({}, (*owners(alice.me), odd)))
        rule = PolicyRule(True, ("10.0.0.256",), None, (), ())
        with pytest.raises(ProtocolError, match=r"cannot read these rules.*is no handle"):
            alice.links.replace_policy([rule])


ODD_PLACES = ("192.0.2.1", "[192.0.2.1]", "[2001:DB8::1]", "[::192.0.2.1]", "[::ffff:192.0.2.1]", "[1:2:3:4:5:6:7::]")
ODD_ZONES = ("1", "0", "4294967295", "4294967296", "lo", "", "01")


async def test_what_is_an_address_to_us_is_one_to_the_data_plane() -> None:
    zoned = [f"[fe80::1%{zone}]" for zone in ODD_ZONES]
    addresses = [f"{place}:{port}" for place in (*ODD_PLACES, *zoned) for port in ("1", "0443", "65535", "0", "65536")]
    literal = list(filter(is_literal, addresses))

    with node("alice") as alice:
        for each in literal:
            alice.links.dial(each, None)
    assert len(literal) == 3 * (len(ODD_PLACES) - 1 + 4)


async def test_an_address_that_the_data_plane_cannot_read_is_named() -> None:
    with node("alice") as alice:
        with pytest.raises(ProtocolError, match=r"cannot read the address \[fe80::1%lo\]:443"):
            alice.links.dial("[fe80::1%lo]:443", None)
        with pytest.raises(ProtocolError, match="cannot read the address nowhere"):
            await alice.links.join("nowhere", pinned=True)
