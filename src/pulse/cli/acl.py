"""`pulse acl …`: who may reach whom. Looked at on every node; edited where the scribe or an operator is.

Invariant: parse, one call, print; what an edit gives and takes is always told.
"""

import re
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from pulse import clock
from pulse.calls.acls import AclCalls
from pulse.cli import assertions, changes, rulefile, ssh
from pulse.cli.hits import hits
from pulse.cli.output import print_json, print_table
from pulse.cli.values import DataDir, Duration, Json, port_of
from pulse.client import connect
from pulse.core.types import SHORT_ID
from pulse.errors import ConfigError, PulseError
from pulse.schemas.policy import (
    ALLOW,
    DENY,
    FlowRequest,
    FlowVerdict,
    PolicyChange,
    RuleMove,
    RuleRef,
    RuleRequest,
    RuleText,
    RuleView,
)
from pulse.wording import DASH, counted, moment

if TYPE_CHECKING:
    from pulse.core.network.ruling import RuleAdded

MOST_PLACES: Final = 4096
ID_DIGITS: Final = 64

PATTERNS: Final = "a name, tag:x, group:x, first digits of an id (a3f2*), cidr:10.100.7.0/24, or *; several with commas"

From = Annotated[list[str], Parameter(name="--from", help=f"Who: {PATTERNS}.")]
To = Annotated[list[str], Parameter(name="--to", help="Whom: the same.")]
Deny = Annotated[bool, Parameter(help="Deny what it matches, instead of allowing it.")]
Ports = Annotated[str, Parameter(help="Ports at the destination, such as 22,443,8000-8100; all if left out.")]
Proto = Annotated[
    str, Parameter(help="tcp, udp, icmp, sctp, gre, esp or a number; several with commas; all if left out.")
]
Window = Annotated[str, Parameter(help="Hours in which it counts, UTC: mon-fri,09:00-18:00")]
Note = Annotated[str, Parameter(help="What it is for.")]
Redundant = Annotated[bool, Parameter(help="What it allows goes over the two best paths at once.")]
At = Annotated[int, Parameter(help="Its number in the list; at the end if left out.")]
Ahead = Annotated[bool, Parameter(help="Take names and tags that nobody has yet: those of machines still to join.")]
Expires = Annotated[Duration | None, Parameter(help="It ends by itself after 30m, 4h or 7d.")]
File = Annotated[str, Parameter(allow_leading_hyphen=True)]
DryRun = Annotated[bool, Parameter(help="Only say what would come of it.")]
Force = Annotated[bool, Parameter(help="Even if it closes the connection this is typed through.")]

app = App(
    name="acl",
    help=(
        "Say who may reach whom, and see what comes of it first.\n\n"
        "The first rule that matches decides; without rules all may. Edits on the scribe, the CA or an "
        "operator, the rest on every node.\n\nMore: pulse help policy"
    ),
)
app.command(assertions.app)


@app.command(name="list")
def list_rules(*, json: Json = False, data_dir: DataDir = None) -> None:
    """List the rules in force, in their order."""
    with connect(data_dir) as client:
        found = AclCalls(client).policy()
    if json:
        print_json(found)
    elif found.open:
        print("no rules: everybody may reach everybody (the first one, pulse acl add, denies all it does not allow)")
    else:
        header = ("#", "ACTION", "FROM", "TO", "PROTO", "PORTS", "TIME", "NOTE")
        print_table(header, [_row(rule) for rule in found.rules], elastic=frozenset({"FROM", "TO", "NOTE"}))


@app.command
def add(
    *,
    sources: From,
    destinations: To,
    deny: Deny = False,
    ports: Ports = "",
    proto: Proto = "",
    expires: Expires = None,
    window: Window = "",
    note: Note = "",
    redundant: Redundant = False,
    at: At = 0,
    ahead: Ahead = False,
    dry_run: DryRun = False,
    force: Force = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Add a rule. It allows, unless --deny is said; once there is one, what no rule allows is denied."""
    who, whom = _words(sources), _words(destinations)
    if not (who and whom):
        raise ConfigError(f"a rule needs somebody on each side. Write {PATTERNS}")
    request = RuleRequest(
        source=who,
        destination=whom,
        action=DENY if deny else ALLOW,
        ports=[*_words([ports])],
        proto=[*_words([proto])],
        ttl=expires,
        window=window,
        redundant=redundant,
        note=note,
        place=_place(at),
        ahead=ahead,
        dry_run=dry_run,
        force=force,
        through=ssh.connection(),
    )
    with connect(data_dir) as client:
        change = AclCalls(client).add_rule(request)
    changes.show(change, _done("added", change), json=json)


@app.command
def remove(
    rule: str, /, *, dry_run: DryRun = False, force: Force = False, json: Json = False, data_dir: DataDir = None
) -> None:
    """Take a rule away.

    Parameters
    ----------
    rule
        Its number in `pulse acl list`, or its id (r7).
    """
    index, name = _meant(rule)
    request = RuleRef(index=index, id=name, dry_run=dry_run, force=force, through=ssh.connection())
    with connect(data_dir) as client:
        change = AclCalls(client).remove_rule(request)
    changes.show(change, _done("removed", change), json=json)


@app.command
def move(
    rule: str,
    place: int,
    /,
    *,
    dry_run: DryRun = False,
    force: Force = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Put a rule elsewhere in the list: the first that matches decides.

    Parameters
    ----------
    rule
        Its number in `pulse acl list`, or its id (r7).
    place
        The number it is to have; 0 for the end.
    """
    index, name = _meant(rule)
    request = RuleMove(
        index=index, id=name, place=_place(place), dry_run=dry_run, force=force, through=ssh.connection()
    )
    with connect(data_dir) as client:
        change = AclCalls(client).move_rule(request)
    changes.show(change, _done("moved", change), json=json)


@app.command
def explain(source: str, destination: str, /, *, proto: str = "", json: Json = False, data_dir: DataDir = None) -> None:
    """Say whether one node may reach another, by which rule, and what would change that. Works on every node.

    Parameters
    ----------
    source
        Its name, its mesh address, or the first digits of its id.
    destination
        The same, with a port: db-server:5432; without one pings are meant.
    proto
        tcp if there is a port, unless said otherwise.
    """
    node, port = _split(destination)
    with connect(data_dir) as client:
        found = AclCalls(client).explain(FlowRequest(source, node, proto, port))
    if json:
        print_json(found)
    else:
        print("\n".join(_explained(found)))


app.command(hits)


@app.command
def diff(file: File, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Say what the rules of a file would give and take, in place of those in force.

    Parameters
    ----------
    file
        TOML or JSON; - for standard input.
    """
    rules = rulefile.read(file)
    with connect(data_dir) as client:
        change = AclCalls(client).diff_rules(rules)
    changes.show(change, "", json=json)


@app.command
def check(file: File, /, *, json: Json = False) -> None:
    """Say whether the rules of a file can be read, without any node: names and tags are not looked up.

    Parameters
    ----------
    file
        TOML or JSON; - for standard input.
    """
    from pulse.core.network.typed import describe_typed

    read = [describe_typed(_read(file, number, rule)) for number, rule in enumerate(rulefile.read(file).rules, 1)]
    if json:
        print_json(read)
    else:
        print("\n".join([*(f"{number}  {line}" for number, line in enumerate(read, 1)), _readable(len(read))]))


# Details


def _read(file: str, number: int, rule: RuleText) -> "RuleAdded":
    from pulse.core.network.typed import check_form, typed_rule

    sources, destinations = ([each] if isinstance(each, str) else each for each in (rule.source, rule.destination))
    try:
        for word in (*sources, *destinations):
            check_form(word)
        return typed_rule(
            sources,
            destinations,
            allow=rule.action == ALLOW,
            protocols=map(str, rule.proto),
            ports=map(str, rule.ports),
            expires=rule.expires if rule.ttl is None else clock.wall() + rule.ttl,
            window=rule.window,
            redundant=rule.redundant,
            note=rule.note,
        )
    except PulseError as error:
        raise ConfigError(f"{file}, rule {number}: {error}") from error


def _row(rule: RuleView) -> tuple[str, ...]:
    return (
        str(rule.index),
        rule.action,
        _short(rule.source),
        _short(rule.destination),
        ",".join(rule.proto) or DASH,
        ",".join(rule.ports) or DASH,
        _time(rule) or DASH,
        rule.note or DASH,
    )


def _short(patterns: list[str]) -> str:
    return ",".join(each[:SHORT_ID] if len(each) == ID_DIGITS else each for each in patterns)


def _time(rule: RuleView) -> str:
    ends = [] if rule.expires is None else [f"until {moment(rule.expires)}"]
    state = {"on": "", "over": " (over)", "closed": " (closed now)", "unsure": " (clock not trusted)"}[rule.state]
    return " ".join([*ends, *([rule.window] if rule.window else [])]) + state


def _explained(found: FlowVerdict) -> list[str]:
    told = [found.sentence]
    if found.nearest:
        near = found.nearest
        told.append(f"nearest: rule {near.rule.index}  {near.rule.line}      {'; '.join(near.lacks)}")
    if found.fix:
        told.append(f"to allow: {found.fix}")
    source, *relays, destination = found.enforced
    between = relays if found.relays_known else ["relays on the way"]
    return [*told, f"enforced: {'; '.join([f'by {source} before sending', *between, destination])}"]


def _done(word: str, change: PolicyChange) -> str:
    rule = change.rule
    return f"{word} rule {rule.index} ({rule.id}): {rule.line}" if rule else f"{word} the rule"


def _words(typed: list[str]) -> list[str]:
    return [word for each in typed for word in map(str.strip, each.split(",")) if word]


def _meant(rule: str) -> tuple[int | None, str | None]:
    """A rule by its number, or by its id."""
    return (_place(int(rule)), None) if re.fullmatch(r"\d{1,9}", rule) else (None, rule)


def _place(place: int) -> int:
    if not 0 <= place <= MOST_PLACES:
        raise ConfigError(f"{place} is no place in a list of rules. See: pulse acl list")
    return place


def _split(destination: str) -> tuple[str, int]:
    """Node and port of `node:port`; an IPv6 address stands in brackets if there is a port."""
    found = re.fullmatch(r"\[(.+)\](?::(.*))?|([^:]*):([^:]*)", destination)
    if found is None:
        return destination, 0
    node, port = (found[1], found[2]) if found[1] else (found[3], found[4])
    return node, port_of(port) if port is not None else 0


def _readable(count: int) -> str:
    return f"{counted(count, 'rule')}, all can be read"
