"""The one place where the simulation meets the constructor and queries of the mesh it simulates."""

from random import Random

from pulse.core.mesh import Mesh
from pulse.core.trust.join import Floors
from pulse.core.types import NodeId
from tests.sim import identities

VERSION = "1.0.0"


def build(number: int, random: Random, *, boot: int, floors: Floors, is_ca: bool) -> Mesh:
    """The mesh of the machine with that number, in its `boot`th life."""
    me = identities.certificate(number, is_ca=is_ca)
    signer = identities.signer(number)
    return Mesh(me, signer, identities.CA.chain, random, boot=boot, version=VERSION, floors=floors)


def held(mesh: Mesh) -> dict[str, object]:
    """What all nodes that hear each other must hold alike."""
    statements = mesh.statements
    return {
        "roles": statements.roles.epoch,
        "config": statements.config.number if statements.config else None,
        "revocations": sorted(statements.revoked()),
        "members": sorted(each.node_id for each in mesh.members.all()),
    }


def records(mesh: Mesh) -> dict[NodeId, tuple[int, int]]:
    """Numbers of the record held of each node."""
    return {each.node: each.numbers for each in mesh.gossip.records()}
