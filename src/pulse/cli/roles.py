"""`pulse ca roles|grant|ungrant`: who keeps the network config, and whose edits of it count.

Invariant: parse, one call, print.
"""

from pulse.calls.roles import RoleCalls
from pulse.cli.output import print_json, print_table
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.core.types import SHORT_ID
from pulse.schemas.revoke import Revoked
from pulse.schemas.roles import GivenRole, RoleRequest, RolesInfo
from pulse.wording import DASH


def roles(*, json: Json = False, data_dir: DataDir = None) -> None:
    """Show who has which role."""
    with connect(data_dir) as client:
        found = RoleCalls(client).roles()
    _show(found, json=json)


def grant(
    node: str,
    role: GivenRole,
    /,
    *,
    reinstate: tuple[str, ...] = (),
    keep_revoked: bool = False,
    force: bool = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Give a node a role, on the CA. A new scribe takes the place of the old one, which stops writing.

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    role
        scribe: it keeps names, tags and rules; operator: the scribe takes its edits.
    reinstate
        A node, by the first digits of its id, that a thief revoked with the scribe which is replaced; may be
        repeated. The CA stands by the other revocations.
    keep_revoked
        The CA stands by all that the scribe which is replaced revoked.
    force
        Even if this CA is cut off, and may not know what the scribe that is replaced wrote and revoked last.
    """
    with connect(data_dir) as client:
        found = RoleCalls(client).grant(RoleRequest(node, role, force, list(reinstate), keep_revoked))
    _show(found, json=json)


def ungrant(node: str, role: GivenRole, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Take the role of operator from a node, on the CA.

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    role
        operator; a scribe is replaced by another one instead.
    """
    with connect(data_dir) as client:
        found = RoleCalls(client).ungrant(node, role)
    _show(found, json=json)


def _show(found: RolesInfo, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    rows = [(each.role, each.name, each.id[:SHORT_ID], each.problem or DASH) for each in found.roles]
    print_table(("ROLE", "NODE", "ID", "PROBLEM"), rows)
    if found.revoked_by_scribe:
        print(f"revoked by the scribe: {', '.join(map(_named, found.revoked_by_scribe))}")


def _named(node: Revoked) -> str:
    return f"{node.name} ({node.id[:SHORT_ID]})"
