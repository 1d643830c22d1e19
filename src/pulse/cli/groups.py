"""`pulse groups`: named sets of nodes and tags, which rules use as `group:x`.

Invariant: parse, one call, print.
"""

from cyclopts import App

from pulse.calls.acls import AclCalls
from pulse.cli import changes, ssh
from pulse.cli.output import print_json, print_table
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.errors import ConfigError
from pulse.schemas.policy import GroupRef, GroupRequest

app = App(
    name="groups",
    help=(
        "Name sets of nodes and tags, for rules to go by.\n\n"
        "Rules use them as group:x. Edits on the scribe, the CA or an operator, lists on every node."
        "\n\nMore: pulse help policy"
    ),
)


@app.default
@app.command(name="list")
def list_groups(*, json: Json = False, data_dir: DataDir = None) -> None:
    """List the groups and who is in them."""
    with connect(data_dir) as client:
        found = AclCalls(client).policy().groups
    if json:
        print_json(found)
    elif found:
        rows = [(each.name, " ".join(each.members)) for each in found]
        print_table(("GROUP", "MEMBERS"), rows, elastic=frozenset({"MEMBERS"}))
    else:
        print("no groups (make one: pulse groups set ops laptop tag:admin)")


@app.command(name="set")
def set_group(
    name: str,
    /,
    *members: str,
    ahead: bool = False,
    dry_run: bool = False,
    force: bool = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Say who is in a group, all of them; it is made if it is not there.

    Parameters
    ----------
    name
        Lower case letters, digits and inner -
    members
        Names, tags (tag:x) and ids or their first digits.
    ahead
        Take names and tags that nobody has yet: those of machines still to join.
    dry_run
        Only say what would come of it.
    force
        Even if it closes the connection this is typed through.
    """
    if not members:
        raise ConfigError(f"a group has members: pulse groups set {name} laptop tag:admin (or remove it)")
    request = GroupRequest(name, [*members], ahead, dry_run=dry_run, force=force, through=ssh.connection())
    with connect(data_dir) as client:
        change = AclCalls(client).set_group(request)
    changes.show(change, f"set group {name}", json=json)


@app.command
def remove(name: str, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Take a group away, if no rule and no test uses it.

    Parameters
    ----------
    name
        The group, as `pulse groups list` shows it.
    """
    with connect(data_dir) as client:
        change = AclCalls(client).remove_group(GroupRef(name))
    changes.show(change, f"removed group {name}", json=json)
