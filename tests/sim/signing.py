"""What CA and scribe sign in a scenario."""

from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.trust.roles import Roles, sign_roles
from tests.authority import MESH
from tests.sim import identities
from tests.sim.node import SimNode


def roles_of(epoch: int, scribe: SimNode, *operators: SimNode) -> bytes:
    """The CA names the first scribe, and operators."""
    roles = Roles(epoch, scribe.id, 1, frozenset(each.id for each in operators))
    return sign_roles(identities.CA.network, roles, identities.CA.key).data


def edited_config(scribe: SimNode) -> bytes:
    """The scribe's next config after the one it holds."""
    held = scribe.running.mesh.statements.config
    generation = held.config.generation + 1 if held and held.config.scribe_epoch == 1 else 1
    config = Config(1, generation, Settings(str(MESH)))
    return sign_config(identities.CA.network, config, identities.signer(scribe.number)).data
