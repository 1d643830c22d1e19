"""Every kind of certificate that proves nobody, at every door of one daemon: none opens, and each is logged by name.

A flow between honest nodes goes on through all of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from pulse.core.trust.identity import node_id, public_bytes
from pulse.core.trust.join import Refusal
from tests.e2e import forgery
from tests.e2e.forgery import DAY, Wanted
from tests.security.lanes import DENIED, LINKS, WANTED, Shown, join
from tests.security.scene import Scene, bad_member, told_since, unharmed

Forge = Callable[[Wanted], Wanted]

FORGED: dict[str, tuple[Forge, str]] = {
    "self-signed": (forgery.self_signed, "not signed by a trusted CA"),
    "foreign CA": (forgery.foreign, "not signed by a trusted CA"),
    "expired": (forgery.expired, "its certificate has expired"),
    "not yet valid": (forgery.not_yet_valid, "its certificate is not yet valid by our clock"),
    "another network": (forgery.of_another_network, "it belongs to another network"),
    "another first CA": (forgery.of_another_first_ca, "it belongs to another network"),
    "for clients only": (forgery.for_clients_only, "it is not for clients and servers"),
    "for servers only": (forgery.for_servers_only, "it is not for clients and servers"),
    "for anything": (forgery.for_anything, "it is not for clients and servers"),
}


@pytest.fixture(scope="module")
def revoked(scene: Scene) -> Wanted:
    """A member that the CA has shut out."""
    made = bad_member(scene.ca)
    scene.ca.host.pulse("revoke", "--node", node_id(public_bytes(made.key)))
    return made


@pytest.fixture(scope="module", autouse=True)
def honest(scene: Scene, revoked: Wanted) -> Iterator[None]:
    """Meanwhile honest nodes talk, and nothing changes at either."""
    with unharmed(scene):
        yield


@pytest.fixture(params=LINKS)
def lane(request: pytest.FixtureRequest, scene: Scene) -> Callable[[Shown], str]:
    """A door at which both ends prove who they are."""
    return partial(LINKS[request.param], scene)


Lane = Callable[[Shown], str]


def test_without_a_certificate_no_door_opens(scene: Scene, lane: Lane) -> None:
    told = len(scene.ca.log)

    assert lane(None) == WANTED

    told_since(scene.ca, told, "peer sent no certificates")


@pytest.mark.parametrize(("forge", "reason"), FORGED.values(), ids=FORGED)
def test_a_forged_certificate_hears_the_same_words_at_every_door(
    scene: Scene, lane: Lane, forge: Forge, reason: str
) -> None:
    told = len(scene.ca.log)

    assert lane(forge(bad_member(scene.ca))) == DENIED

    told_since(scene.ca, told, reason)


def test_a_revoked_certificate_hears_them_too(scene: Scene, lane: Lane, revoked: Wanted) -> None:
    told = len(scene.ca.log)

    assert lane(revoked) == DENIED

    told_since(scene.ca, told, f"node {node_id(public_bytes(revoked.key))[:12]} is revoked")


PROVE_NOTHING = [name for name in FORGED if name not in {"expired", "not yet valid"}]
"""At the join lane, where an ended certificate is shown to get the next one, times are for the ledger to judge."""


@pytest.mark.parametrize("kind", [None, *PROVE_NOTHING])
def test_the_join_port_says_nothing_to_a_certificate_that_is_not_of_its_ca(scene: Scene, kind: str | None) -> None:
    told = len(scene.ca.log)

    assert join(scene, FORGED[kind][0](bad_member(scene.ca)) if kind else None) == b""

    told_since(scene.ca, told, "renewal request forged" if kind else "join request unreadable")


def test_the_join_port_gives_nothing_for_one_that_is_revoked_long_over_or_of_another_time(
    scene: Scene, revoked: Wanted
) -> None:
    long_over = replace(bad_member(scene.ca), begins=-90 * DAY, ends=-31 * DAY)
    early = forgery.not_yet_valid(bad_member(scene.ca))
    refused = ((revoked, Refusal.NODE_REVOKED), (long_over, Refusal.TOO_LATE), (early, Refusal.NOT_YET_VALID))
    for shown, expected in refused:
        told = len(scene.ca.log)
        said = join(scene, shown)
        assert said != b""
        told_since(scene.ca, told, f"renewal refused refusal={expected.name.lower()}")
