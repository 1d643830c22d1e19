"""Revocations: who may make one, and a union on which all nodes agree."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.identity import node_bytes, public_bytes
from pulse.core.trust.revocation import (
    Revocation,
    RevocationSet,
    check_revocable,
    claimed_epoch,
    digest_of,
    open_revocation,
    sign_revocation,
)
from pulse.core.trust.roles import Roles
from pulse.core.trust.signed import Forged
from pulse.core.types import NodeId
from pulse.errors import ProtocolError, Refused
from tests.authority import NOW, Ca, key, node

CA = Ca()
SCRIBE = key("scribe")


def by_ca(name: str) -> Revocation:
    return sign_revocation(CA.network, node(name), CA.key, time=NOW, reason="lost")


def by_scribe(name: str, epoch: int) -> Revocation:
    return sign_revocation(CA.network, node(name), SCRIBE, scribe_epoch=epoch, time=NOW)


def reopened(revocation: Revocation, *, ca_nodes: tuple[NodeId, ...] = ()) -> Revocation:
    scribe = (public_bytes(SCRIBE), revocation.scribe_epoch)
    return open_revocation(revocation.data, CA.network, [CA.authority], scribe, ca_nodes)


some = st.builds(
    lambda name, epoch: by_scribe(name, epoch) if epoch else by_ca(name), st.sampled_from("abcd"), st.integers(0, 3)
)


@pytest.mark.parametrize("revocation", [by_ca("a"), by_scribe("a", 3)])
def test_a_revocation_comes_back_as_it_was_signed(revocation: Revocation) -> None:
    assert reopened(revocation) == revocation


def test_a_stranger_revokes_nobody() -> None:
    forged = sign_revocation(CA.network, node("a"), key("evil"), time=NOW)
    with pytest.raises(Refused, match="not signed by anyone entitled"):
        reopened(forged)


def test_nobody_borrows_the_others_authority() -> None:
    claims_ca = sign_revocation(CA.network, node("a"), SCRIBE, time=NOW)
    claims_scribe = sign_revocation(CA.network, node("a"), CA.key, scribe_epoch=2, time=NOW)
    for forged in (claims_ca, claims_scribe):
        with pytest.raises(Refused, match="whom it claims"):
            reopened(forged)


def test_a_scribe_cannot_revoke_a_ca_node_but_the_ca_can() -> None:
    with pytest.raises(Refused, match="cannot revoke the CA's node"):
        reopened(by_scribe("a", 1), ca_nodes=(node("a"),))
    assert reopened(by_ca("a"), ca_nodes=(node("a"),)) == by_ca("a")


def test_without_a_known_scribe_only_the_ca_counts() -> None:
    with pytest.raises(Refused):
        open_revocation(by_scribe("a", 1).data, CA.network, [CA.authority])


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises((ProtocolError, Refused)):
        open_revocation(data, CA.network, [CA.authority])


@given(st.lists(some, max_size=8), st.randoms(use_true_random=False), st.integers(0, 3))
def test_the_union_is_the_same_in_any_order_and_twice(seen: list[Revocation], random: object, epoch: int) -> None:
    shuffled = [*seen, *seen[:2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ours, theirs = RevocationSet(seen), RevocationSet(shuffled)
    assert ours.counting(epoch) == theirs.counting(epoch)
    assert ours.nodes(epoch) == theirs.nodes(epoch)


def test_a_merge_tells_whether_neighbours_should_hear() -> None:
    held = RevocationSet()
    assert held.merge(by_scribe("a", 1))
    assert not held.merge(by_scribe("a", 1))
    assert held.merge(by_scribe("a", 2))
    assert held.merge(by_ca("a"))
    assert not held.merge(by_scribe("a", 9))


def test_a_replaced_scribes_word_counts_no_more() -> None:
    held = RevocationSet([by_scribe("a", 1), by_ca("b")])
    assert held.nodes(1) == {node("a"), node("b")}
    assert held.nodes(2) == {node("b")}
    assert (held.scribe_changed(1), held.scribe_changed(2)) == ([], [node("a")])
    assert held.nodes(1) == {node("b")}
    assert not held.holds(by_scribe("a", 1).data)


@pytest.mark.parametrize("epoch", [1, 3, 2**53 - 1])
def test_what_a_scribe_signed_for_another_epoch_than_its_own_is_refused(epoch: int) -> None:
    ahead = by_scribe("a", epoch).data
    with pytest.raises(Refused, match=f"is of scribe epoch {epoch}, not of 2"):
        open_revocation(ahead, CA.network, [CA.authority], (public_bytes(SCRIBE), 2))


def test_the_digest_is_that_of_the_sorted_ids() -> None:
    assert digest_of([]) == hashlib.sha256(b"").digest()
    ids = sorted(node_bytes(node(name)) for name in "ab")
    assert digest_of([node("b"), node("a"), node("b")]) == hashlib.sha256(b"".join(ids)).digest()
    assert digest_of([node("b"), node("a"), node("a")]) == hashlib.sha256(b"".join(ids)).digest()


def test_exact_bytes_that_are_held_need_no_second_look() -> None:
    scribes, cas = by_scribe("a", 1), by_ca("a")
    held = RevocationSet([scribes])
    assert held.holds(scribes.data)
    assert not held.holds(cas.data)

    held.merge(cas)
    assert held.holds(cas.data)
    assert not held.holds(scribes.data)


def test_a_revocation_tells_under_which_scribe_it_claims_to_be() -> None:
    assert (claimed_epoch(by_ca("a").data), claimed_epoch(by_scribe("a", 7).data)) == (0, 7)
    with pytest.raises(ProtocolError):
        claimed_epoch(b"\x03\x01" + bytes(64) + b"\xc1")


def test_a_signature_that_is_not_the_claimed_ones_is_forged() -> None:
    with pytest.raises(Forged):
        reopened(sign_revocation(CA.network, node("a"), key("mallory"), time=NOW))


ROLES = Roles(2, node("scribe"), 2)
CA_NODES = frozenset({node("ca node")})


@pytest.mark.parametrize(
    ("who", "by_ca", "force", "complaint"),
    [
        ("a", True, False, ""),
        ("a", False, False, ""),
        ("a", True, True, ""),
        ("a", False, True, "--force works on the CA only"),
        ("ca node", False, False, "CA's own node"),
        ("ca node", True, False, "is the last CA"),
        ("ca node", True, True, ""),
        ("scribe", False, False, "is the last scribe"),
        ("scribe", True, False, "is the last scribe"),
        ("scribe", True, True, ""),
    ],
)
def test_the_last_ca_and_the_last_scribe_are_revoked_only_by_force_on_the_ca(
    who: str, *, by_ca: bool, force: bool, complaint: str
) -> None:
    if not complaint:
        check_revocable(node(who), ROLES, CA_NODES, by_ca=by_ca, force=force)
        return
    with pytest.raises(Refused, match=complaint):
        check_revocable(node(who), ROLES, CA_NODES, by_ca=by_ca, force=force)
