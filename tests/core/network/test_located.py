"""Nodes by their mesh addresses, as a look at each of them says."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from pulse.core.network.located import Located

NODES = [(f"10.100.{number // 8}.{number % 8}", f"fd00::{number:x}" if number % 3 else "") for number in range(32)]
RANGES = st.one_of(
    st.builds(
        lambda last, bits: str(ip_network((f"10.100.{last // 8}.{last % 8}", bits), strict=False)),
        st.integers(0, 40),
        st.integers(8, 32),
    ),
    st.builds(
        lambda last, bits: str(ip_network((f"fd00::{last:x}", bits), strict=False)),
        st.integers(0, 40),
        st.integers(8, 128),
    ),
)


@given(RANGES)
def test_those_in_a_range_are_found(text: str) -> None:
    found = ip_network(text)

    assert Located.of(NODES).within(text) == {
        handle for handle, v6 in NODES if any(ip_address(each) in found for each in (handle, v6) if each)
    }


def test_the_edges_of_a_range_are_in_it_and_what_is_beside_them_is_not() -> None:
    located = Located.of([(f"10.100.0.{last}", "") for last in (3, 4, 7, 8)] + [("255.255.255.255", "")])

    assert located.within("10.100.0.4/30") == {"10.100.0.4", "10.100.0.7"}
    assert len(located.within("0.0.0.0/0")) == 5
    assert located.within("::/0") == frozenset()
