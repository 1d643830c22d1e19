"""What CA and scribe sign in a scenario."""

from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.trust.roles import Roles, sign_roles
from tests.authority import MESH
from tests.sim import identities
from tests.sim.node import SimNode


def roles_of(epoch: int, scribe: SimNode, *operators: SimNode, scribe_epoch: int = 1) -> bytes:
    """The CA names a scribe, and operators."""
    roles = Roles(epoch, scribe.id, scribe_epoch, frozenset(each.id for each in operators))
    return sign_roles(identities.CA.network, roles, identities.CA.key).data


def edited_config(scribe: SimNode, **names: str) -> bytes:
    """The scribe's next config after the one it holds."""
    statements = scribe.running.mesh.statements
    epoch, held = statements.roles.scribe_epoch, statements.config
    generation = held.config.generation + 1 if held and held.config.scribe_epoch == epoch else 1
    config = Config(epoch, generation, Settings(str(MESH)))
    return sign_config(identities.CA.network, config, identities.signer(scribe.number)).data
