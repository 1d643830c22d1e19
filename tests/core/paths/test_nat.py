"""NAT: what neighbours' sightings say of the NAT before us."""

import pytest

from pulse.core.paths.nat import Mapping, Nat, judge

HOME, OUT, OTHER = "192.168.1.7:443", "203.0.113.7:41641", "203.0.113.7:50001"


@pytest.mark.parametrize(
    ("seen", "nat"),
    [
        ([], Nat(Mapping.UNKNOWN, 0)),
        ([HOME, HOME], Nat(Mapping.NONE, 2)),
        ([OUT], Nat(Mapping.UNKNOWN, 1)),
        ([OUT, OUT], Nat(Mapping.CONE, 2)),
        ([OUT, OTHER], Nat(Mapping.SYMMETRIC, 2)),
        ([HOME, OUT, OUT], Nat(Mapping.CONE, 2)),
        (["[2001:db8::7]:443"], Nat(Mapping.UNKNOWN, 0)),
    ],
    ids=["nobody", "no NAT", "one observer", "cone", "symmetric", "one beside us", "IPv6 alone"],
)
def test_the_nat_is_judged_by_whether_observers_agree(seen: list[str], nat: Nat) -> None:
    assert judge(seen, [HOME]) == nat


def test_one_that_lies_outweighs_no_two_that_agree() -> None:
    assert judge([OUT, OUT, OTHER], [HOME]) == Nat(Mapping.CONE, 3)
