"""Signed objects from a member that is entitled to sign none: refused, logged, and nobody's state moves by a bit.

The true objects are read from the CA's disk and spoiled in every way; what counts for a signature is who made it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse.core.messages import Item, ObjectKind, Objects
from pulse.core.trust.authorities import sign_retirement, sign_succession
from pulse.core.trust.ca import Issuer, make_authority
from pulse.core.trust.identity import node_bytes, public_bytes
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.trust.signed import HEADER, seal
from pulse.core.types import Network, NodeId
from pulse.store.authority import open_issuer
from pulse.store.netconfig import NetworkStore
from tests.security.link import Link
from tests.security.scene import Scene, told_since, unharmed
from tests.security.voice import is_heard_out

HIGHEST = 2**63 - 1
MAYBE_HONEST = 3
"""Spoiled copies that say they were signed by somebody else."""
CONFIG, ROLES, REVOCATION = ObjectKind.CONFIG, ObjectKind.ROLES, ObjectKind.REVOCATION


@dataclass(frozen=True)
class Truth:
    """What is true in the network, and the keys to lie with."""

    issuer: Issuer
    roles: bytes
    config: bytes
    revocation: bytes
    """A true revocation that was never said here, so that its spoiled copies are the first to say it."""
    victim: NodeId
    ca_node: NodeId
    own_key: Ed25519PrivateKey

    @property
    def network(self) -> Network:
        return self.issuer.network

    def true(self, kind: ObjectKind) -> bytes:
        """The object of that kind."""
        return {CONFIG: self.config, ROLES: self.roles, REVOCATION: self.revocation}[kind]

    def signed(self, kind: ObjectKind, payload: list[object], signer: Ed25519PrivateKey | None = None) -> bytes:
        """That payload under the rogue's own signature, or another's."""
        return seal(kind, self.network, msgspec.msgpack.encode(payload), signer or self.own_key)

    def by_the_ca(self, kind: ObjectKind, payload: list[object]) -> bytes:
        """That payload under the CA's own signature, as a stolen or careless CA would make it."""
        return seal(kind, self.network, msgspec.msgpack.encode(payload), self.issuer.signer)

    def payload(self, kind: ObjectKind) -> list[object]:
        """The fields of the true object."""
        fields: list[object] = msgspec.msgpack.decode(self.true(kind)[HEADER:])
        return fields

    def altered(self, kind: ObjectKind, **fields: object) -> list[object]:
        """The same with other numbers in it."""
        payload = self.payload(kind)
        for name, value in fields.items():
            payload[PLACES[kind].index(name)] = value
        return payload


PLACES = {
    ROLES: ("epoch", "scribe", "scribe_epoch", "operators"),
    CONFIG: ("scribe_epoch", "generation"),
    REVOCATION: ("node", "scribe_epoch", "time", "reason"),
}


@pytest.fixture(scope="module")
def truth(scene: Scene) -> Truth:
    issuer = open_issuer(scene.ca.host.data)
    store = NetworkStore(scene.ca.host.data)
    roles, config = store.load_roles().data, store.load_config().data
    assert roles is not None
    assert config is not None
    victim, ca_node = NodeId(scene.member.status().node.id), NodeId(scene.ca.status().node.id)
    revocation = sign_revocation(issuer.network, victim, issuer.signer, time=1.0).data
    return Truth(issuer, roles, config, revocation, victim, ca_node, scene.rogue.shows.key)


@pytest.fixture
def link(scene: Scene) -> Iterator[Link]:
    """A link of the rogue's, on which whatever is said changes nothing."""
    told = len(scene.ca.log)
    with unharmed(scene):
        yield scene.new_link()
    taken = ("INFO roles in force", "INFO network config in force", "INFO node revoked", "INFO CA key")
    assert not any(word in scene.ca.log[told:] for word in taken)


def cut_off(scene: Scene, link: Link, *lies: tuple[int, bytes]) -> None:
    """Say each of these objects on a link of its own: for each the CA hangs up, and its log says why."""
    for kind, data in lies:
        told = len(scene.ca.log)
        speaking = link if link.is_up else scene.new_link()
        speaking.says(Objects([Item(kind, data)]))
        assert speaking.waits_closed() == (0, "protocol")
        told_since(scene.ca, told, "WARNING neighbour broke the protocol")


def refused(scene: Scene, link: Link, *lies: tuple[int, bytes]) -> None:
    """Say these objects, which do not count but which honest nodes may pass on: the first of a kind is logged."""
    told = len(scene.ca.log)
    link.says(*(Objects([Item(kind, data)]) for kind, data in lies))
    assert is_heard_out(link)
    told_since(scene.ca, told, "WARNING signed object refused")


@pytest.mark.parametrize("kind", [ROLES, CONFIG, REVOCATION])
def test_an_object_with_one_bit_changed_is_refused(scene: Scene, truth: Truth, link: Link, kind: ObjectKind) -> None:
    # A bit of every third byte; the version is another matter, and so is the kind.
    true = truth.true(kind)
    spoiled = [true[:at] + bytes((true[at] ^ 1 << at % 8,)) + true[at + 1 :] for at in range(2, len(true), 3)]

    # One that seems to be another's, as of a scribe we never heard of, may come from an honest node.
    ended = 0
    for each in spoiled:
        speaking = link if link.is_up else scene.new_link()
        speaking.says(Objects([Item(kind, each)]))
        ended += not is_heard_out(speaking)
    assert ended >= len(spoiled) - MAYBE_HONEST


@pytest.mark.parametrize("kind", [ROLES, CONFIG, REVOCATION])
def test_an_object_cut_short_or_made_longer_is_refused(
    scene: Scene, truth: Truth, link: Link, kind: ObjectKind
) -> None:
    true = truth.true(kind)
    sizes = (1, 2, 65, 66, 67, len(true) - 1)

    cut_off(scene, link, *((kind, each) for each in [*(true[:size] for size in sizes), true + b"\0", true + true]))


@pytest.mark.parametrize("kind", [ROLES, CONFIG, REVOCATION])
def test_an_object_of_a_later_version_does_not_count(scene: Scene, truth: Truth, link: Link, kind: ObjectKind) -> None:
    true = truth.true(kind)

    refused(scene, link, *((kind, true[:1] + bytes((version,)) + true[2:]) for version in (0, 2, 255)))


@pytest.mark.parametrize("kind", [ROLES, CONFIG, REVOCATION])
def test_no_kind_passes_as_another(scene: Scene, truth: Truth, link: Link, kind: ObjectKind) -> None:
    others = [each for each in (ROLES, CONFIG, REVOCATION) if each is not kind]
    relabelled = [(each, bytes((each,)) + truth.true(kind)[1:]) for each in others]

    cut_off(scene, link, *((each, truth.true(kind)) for each in others), *relabelled)


@pytest.mark.parametrize("kind", [ROLES, CONFIG, REVOCATION])
def test_an_object_of_another_network_is_refused(scene: Scene, truth: Truth, link: Link, kind: ObjectKind) -> None:
    """Of the same name, even, and signed with the very key of our CA."""
    payload = msgspec.msgpack.encode(truth.payload(kind))
    elsewhere = [replace(truth.network, name="other"), replace(truth.network, ca_hash="0" * 64)]

    cut_off(scene, link, *((kind, seal(kind, each, payload, truth.issuer.signer)) for each in elsewhere))


def own_roles(truth: Truth) -> tuple[int, bytes]:
    return ROLES, truth.signed(ROLES, truth.altered(ROLES, epoch=HIGHEST >> 11))


def scribe_of_its_own(truth: Truth) -> tuple[int, bytes]:
    me = bytes(32)
    return ROLES, truth.signed(ROLES, truth.altered(ROLES, epoch=99, scribe=me, scribe_epoch=9))


def own_config(truth: Truth) -> tuple[int, bytes]:
    return CONFIG, truth.signed(CONFIG, truth.altered(CONFIG, scribe_epoch=1, generation=99))


def first_config_again(truth: Truth) -> tuple[int, bytes]:
    """The CA signs (0, 1) once; another (0, n) counts for nobody."""
    return CONFIG, truth.by_the_ca(CONFIG, truth.altered(CONFIG, scribe_epoch=0, generation=2))


def config_by_the_ca_for_a_scribe(truth: Truth) -> tuple[int, bytes]:
    return CONFIG, truth.by_the_ca(CONFIG, truth.altered(CONFIG, scribe_epoch=1, generation=1))


def own_revocation(truth: Truth) -> tuple[int, bytes]:
    return REVOCATION, sign_revocation(truth.network, truth.victim, truth.own_key, time=1.0).data


def revocation_as_scribe(truth: Truth) -> tuple[int, bytes]:
    return REVOCATION, sign_revocation(truth.network, truth.victim, truth.own_key, scribe_epoch=1, time=1.0).data


def revocation_of_the_ca(truth: Truth) -> tuple[int, bytes]:
    return REVOCATION, sign_revocation(truth.network, truth.ca_node, truth.own_key, scribe_epoch=1, time=1.0).data


def revocation_in_the_cas_name(truth: Truth) -> tuple[int, bytes]:
    """Signed by the CA, but it says that a scribe did."""
    signer = truth.issuer.signer
    return REVOCATION, sign_revocation(truth.network, truth.victim, signer, scribe_epoch=1, time=1.0).data


def older_roles(truth: Truth) -> tuple[int, bytes]:
    """Below what everybody was told at join."""
    return ROLES, sign_roles(truth.network, Roles(), truth.issuer.signer).data


def own_succession(truth: Truth) -> tuple[int, bytes]:
    """The rogue's key introduces a CA of its own."""
    following = make_authority(truth.own_key, truth.network.name, 1e9, 9, truth.network.ca_hash)
    return ObjectKind.SUCCESSION, sign_succession(truth.network, truth.own_key, following)


def succession_in_the_cas_name(truth: Truth) -> tuple[int, bytes]:
    """It says that the CA's key introduced it, and the rogue's signed that."""
    kind, data = own_succession(truth)
    _, *rest = msgspec.msgpack.decode(data[HEADER:])
    return kind, truth.signed(ObjectKind.SUCCESSION, [public_bytes(truth.issuer.signer), *rest])


def retirement_of_the_ca(truth: Truth) -> tuple[int, bytes]:
    return ObjectKind.RETIREMENT, sign_retirement(truth.network, public_bytes(truth.issuer.signer), truth.own_key)


def retirement_by_the_first_ca(truth: Truth) -> tuple[int, bytes]:
    """Signed with the CA's own key, which has none before it to retire."""
    return ObjectKind.RETIREMENT, sign_retirement(truth.network, public_bytes(truth.own_key), truth.issuer.signer)


LIES: list[Callable[[Truth], tuple[int, bytes]]] = [
    own_roles,
    scribe_of_its_own,
    own_config,
    first_config_again,
    config_by_the_ca_for_a_scribe,
    own_revocation,
    revocation_as_scribe,
    revocation_of_the_ca,
    revocation_in_the_cas_name,
    own_succession,
    succession_in_the_cas_name,
    retirement_of_the_ca,
    retirement_by_the_first_ca,
]


@pytest.mark.parametrize("lie", LIES)
def test_what_its_signer_was_not_entitled_to_say_is_refused(
    scene: Scene, truth: Truth, link: Link, lie: Callable[[Truth], tuple[int, bytes]]
) -> None:
    told = len(scene.ca.log)
    link.says(Objects([Item(*lie(truth))]))
    if is_heard_out(link):
        told_since(scene.ca, told, "WARNING signed object refused")
    else:
        told_since(scene.ca, told, "WARNING neighbour broke the protocol")


NUMBERS = [2**53, HIGHEST, 2**64 - 1, -1]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_out_of_range_is_refused_whoever_signed_it(
    scene: Scene, truth: Truth, link: Link, number: int
) -> None:
    """The highest number would be the last that anybody could ever say."""
    fields = [(ROLES, "epoch"), (ROLES, "scribe_epoch"), (CONFIG, "scribe_epoch"), (CONFIG, "generation")]
    lies = [(kind, truth.by_the_ca(kind, truth.altered(kind, **{name: number}))) for kind, name in fields]
    revocation = [node_bytes(truth.victim), number, 1.0, ""]

    cut_off(scene, link, *lies, (REVOCATION, truth.by_the_ca(REVOCATION, revocation)))


def test_an_offer_of_a_config_out_of_range_or_cut_short_ends_the_link(scene: Scene, link: Link) -> None:
    whole = msgspec.msgpack.encode([1, 7, bytes(32)])
    offers = [msgspec.msgpack.encode([1, number, bytes(32)]) for number in NUMBERS]
    offers += [msgspec.msgpack.encode([1, 7, bytes(31)]), whole[:-1], whole + whole]

    cut_off(scene, link, *((ObjectKind.CONFIG_OFFER, offer) for offer in offers))


def test_what_was_true_once_changes_nothing_when_it_comes_again(scene: Scene, truth: Truth, link: Link) -> None:
    again = [Item(ROLES, truth.roles), Item(CONFIG, truth.config)] * 100

    link.says(*[Objects(again)] * 10)

    assert is_heard_out(link)


def test_older_roles_change_nothing(scene: Scene, truth: Truth, link: Link) -> None:
    link.says(Objects([Item(*older_roles(truth))]))

    assert is_heard_out(link)


def test_an_object_of_a_kind_nobody_knows_is_skipped(link: Link) -> None:
    """Few of them, for what is useless is counted over all links a node ever had."""
    link.says(Objects([Item(kind, b"later") for kind in (100, 200, 255)]))

    assert is_heard_out(link)


def test_objects_without_end_end_the_link(scene: Scene, truth: Truth, link: Link) -> None:
    told = len(scene.ca.log)
    boring = Objects([Item(200, b"later")] * 500)

    for _ in range(20):
        link.says(boring)

    assert link.waits_closed() == (0, "protocol")
    told_since(scene.ca, told, "it floods us with objects")
