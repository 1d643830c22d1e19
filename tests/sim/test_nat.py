"""NATs of the simulation against RFC 4787: each behaviour is there, and each refuses."""

from itertools import product

import pytest

from tests.sim.nat import FULL_CONE, PORT_RESTRICTED, SYMMETRIC, Depends, Kind, Nat

HOST, OTHER_HOST = "192.168.0.1:41641", "192.168.0.2:41641"
FAR, FAR_PORT, ELSEWHERE = "198.51.100.1:41641", "198.51.100.1:7", "198.51.100.2:41641"
EXPIRY = FULL_CONE.expiry

KINDS = [Kind(mapping, filtering) for mapping, filtering in product(Depends, Depends)]


def nat(kind: Kind) -> Nat:
    return Nat(kind, "203.0.113.1")


def named(kind: Kind) -> str:
    return f"{kind.mapping.name}-{kind.filtering.name}".lower()


@pytest.mark.parametrize("filtering", Depends)
@pytest.mark.parametrize(("mapping", "ports"), [(Depends.NOTHING, 1), (Depends.ADDRESS, 2), (Depends.PORT, 3)], ids=str)
def test_a_socket_has_as_many_outer_ports_as_its_mapping_depends_on(
    mapping: Depends, ports: int, filtering: Depends
) -> None:
    router = nat(Kind(mapping, filtering))

    assert len({router.leaves(HOST, far, 0.0) for far in (FAR, FAR_PORT, ELSEWHERE)}) == ports


@pytest.mark.parametrize("mapping", Depends)
@pytest.mark.parametrize(
    ("filtering", "admitted"),
    [
        (Depends.NOTHING, (True, True, True)),
        (Depends.ADDRESS, (True, True, False)),
        (Depends.PORT, (True, False, False)),
    ],
    ids=str,
)
def test_who_may_come_in_depends_on_whom_was_sent_to(
    mapping: Depends, filtering: Depends, admitted: tuple[bool, bool, bool]
) -> None:
    router = nat(Kind(mapping, filtering))
    outer = router.leaves(HOST, FAR, 0.0)

    assert tuple(router.admits(outer, far, 0.1) for far in (FAR, FAR_PORT, ELSEWHERE)) == admitted


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_nothing_comes_in_where_nothing_went_out(kind: Kind) -> None:
    router = nat(kind)
    outer = router.leaves(HOST, FAR, 0.0)
    unused = f"203.0.113.1:{int(outer.rpartition(':')[2]) + 1}"

    assert router.behind(outer, 0.1) == HOST
    assert router.behind(unused, 0.1) is None
    assert not router.admits(unused, FAR, 0.1)


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_a_mapping_lives_as_long_as_packets_leave_and_dies_of_silence(kind: Kind) -> None:
    router = nat(kind)
    outer = router.leaves(HOST, FAR, 0.0)
    for now in (0.9 * EXPIRY, 1.8 * EXPIRY):
        assert router.leaves(HOST, FAR, now) == outer
    # What comes in keeps nothing alive: whoever likes could hold it open (§4.3, REQ-6).
    assert router.admits(outer, FAR, 2.7 * EXPIRY)

    assert not router.admits(outer, FAR, 2.9 * EXPIRY)
    assert router.behind(outer, 2.9 * EXPIRY) is None
    assert router.leaves(HOST, FAR, 2.9 * EXPIRY) != outer


def test_the_right_to_come_in_lapses_though_the_mapping_lives_by_others() -> None:
    router = nat(PORT_RESTRICTED)
    outer = router.leaves(HOST, FAR, 0.0)
    assert router.leaves(HOST, ELSEWHERE, 0.9 * EXPIRY) == outer

    assert not router.admits(outer, FAR, 1.1 * EXPIRY)
    assert router.admits(outer, ELSEWHERE, 1.1 * EXPIRY)


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_two_hosts_never_share_an_outer_address(kind: Kind) -> None:
    router = nat(kind)

    assert router.leaves(HOST, FAR, 0.0) != router.leaves(OTHER_HOST, FAR, 0.0)


@pytest.mark.parametrize("kind", [FULL_CONE, SYMMETRIC], ids=named)
def test_a_router_that_starts_anew_knows_nobody_and_gives_other_ports(kind: Kind) -> None:
    router = nat(kind)
    outer = router.leaves(HOST, FAR, 0.0)
    router.forget()

    assert not router.admits(outer, FAR, 0.1)
    assert router.leaves(HOST, FAR, 0.1) != outer
