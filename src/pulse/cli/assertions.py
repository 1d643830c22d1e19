"""`pulse acl test`: what rules must always let pass, or never.

Invariant: parse, one call, print.
"""

from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from pulse.calls.acls import AclCalls
from pulse.cli.output import print_json, print_table
from pulse.cli.values import DataDir, Json, port_of
from pulse.client import connect
from pulse.schemas.policy import AssertionRef, AssertionRequest, PolicyChange
from pulse.wording import DASH

ONE: Final = "a name, tag:x, group:x, the first digits of an id, or *"

app = App(name="test", help="State what rules must always let pass, or never: no edit may break it.")


@app.default
def list_tests(*, json: Json = False, data_dir: DataDir = None) -> int:
    """Say whether all tests hold; the exit code is 1 if one does not."""
    with connect(data_dir) as client:
        found = AclCalls(client).policy().tests
    if json:
        print_json(found)
    elif found:
        rows = [(each.id, "holds" if each.holds else "FAILS", each.line, each.problem or DASH) for each in found]
        print_table(("ID", "STATE", "TEST", "SHOWN BY"), rows, elastic=frozenset({"TEST"}))
    else:
        print("no tests (state one: pulse acl test add --from tag:dev --to tag:prod --deny)")
    return 0 if all(each.holds for each in found) else 1


@app.command(name="add")
def add_test(
    *,
    source: Annotated[str, Parameter(name="--from", help=f"Who: {ONE}.")],
    destination: Annotated[str, Parameter(name="--to", help="Whom: the same.")],
    deny: bool = False,
    port: int = 0,
    proto: str = "",
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """State that these nodes must always be allowed to reach those; with --deny, never.

    Parameters
    ----------
    deny
        Never, instead of always.
    port
        At the destination; without one pings are meant.
    proto
        tcp if there is a port, unless said otherwise.
    """
    expect: Literal["allow", "deny"] = "deny" if deny else "allow"
    request = AssertionRequest(source, destination, expect, proto, port_of(str(port)))
    with connect(data_dir) as client:
        change = AclCalls(client).add_test(request)
    if json:
        print_json(change)
    else:
        print(f"{_stated('added', change)}. The rules see to it, and no edit may break it.")


@app.command(name="remove")
def remove_test(test: str, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Take a test back.

    Parameters
    ----------
    test
        Its id, as `pulse acl test` shows it.
    """
    with connect(data_dir) as client:
        change = AclCalls(client).remove_test(AssertionRef(id=test))
    if json:
        print_json(change)
    else:
        print(_stated("removed", change))


def _stated(word: str, change: PolicyChange) -> str:
    test = change.test
    return f"{word} test {test.id}: {test.line}" if test else f"{word} the test"
