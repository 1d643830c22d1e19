"""Nodes with a role, for tests: what they hold, their disk, and what they told the mesh."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import first_config
from pulse.core.network.statements import Statements
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.members import Members
from pulse.core.trust.revocation import BY_CA, sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import NodeId
from pulse.services.publish import Publisher
from pulse.store.files import open_data_dir
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, NOW, Ca, key
from tests.mint import member

CA = Ca()
FIRST = first_config(CA.network, MESH, CA.key)
KEEPER = member(CA, "keeper", 1, host="keeper", is_ca=True)
HOME, RELAY, CAM = (member(CA, name, place, host=name) for place, name in enumerate(("home", "relay", "cam-7"), 2))


@dataclass
class Office:
    """A node that met all the others, with the CA's first config."""

    place: Path
    statements: Statements = field(init=False)
    members: Members = field(init=False)
    store: NetworkStore = field(init=False)
    publish: Publisher = field(init=False)
    told: list[ObjectKind] = field(default_factory=list)
    """What the mesh was told, in order."""

    def __post_init__(self) -> None:
        self.statements = Statements(CA.chain, self.ca_nodes, self._key)
        self.members = Members(self.statements.naming)
        for each in (KEEPER, HOME, RELAY, CAM):
            self.members.certificate_seen(each)
        self.store = NetworkStore(open_data_dir(self.place))
        self.publish = Publisher(self.store, self.take_in)
        self.hear(FIRST.data)

    def ca_nodes(self) -> frozenset[NodeId]:
        return frozenset({KEEPER.node_id})

    def take_in(self, kind: ObjectKind, data: bytes) -> None:
        """The mesh's part of publishing."""
        self.told.append(kind)
        self.statements.object_received(kind, data)

    def hear(self, data: bytes) -> None:
        """A neighbour tells an object."""
        self.statements.object_received(data[0], data)

    def appoint(self, who: Certificate | None, epoch: int = 1, operators: frozenset[NodeId] = frozenset()) -> None:
        """The CA names a scribe, of that scribe epoch, and operators."""
        scribe = None if who is None else who.node_id
        key = None if who is None else who.public_key
        roles = Roles(self.statements.roles.epoch + 1, scribe, epoch if who else 0, operators, key)
        self.hear(sign_roles(CA.network, roles, CA.key).data)

    def revoke(self, who: Certificate, by: str | None = None) -> None:
        """The CA shuts a node out, or the first scribe."""
        signer, epoch = (CA.key, BY_CA) if by is None else (key(by), 1)
        self.hear(sign_revocation(CA.network, who.node_id, signer, scribe_epoch=epoch, time=NOW).data)

    def _key(self, who: NodeId) -> bytes | None:
        certificate = self.members.get(who)
        return certificate.public_key if certificate else None


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on the disk is full."""

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(os, "fsync", refuse)
