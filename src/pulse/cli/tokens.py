"""`pulse token …` and `pulse invite`: what lets a machine in. On the CA, the scribe or an operator.

Invariant: what goes to standard output is what one would paste; all else goes beside it.
"""

import sys
from typing import Annotated, Final

from cyclopts import App, Parameter
from msgspec import UNSET

from pulse import clock
from pulse.calls.tokens import TokenCalls
from pulse.cli.output import is_terminal, print_json, print_table
from pulse.cli.values import DataDir, Duration, Json
from pulse.client import connect
from pulse.core.types import SHORT_ID
from pulse.errors import ConfigError
from pulse.schemas.tokens import TokenInfo, TokenRequest
from pulse.wording import DASH, counted, span, spelled_span

MOST_USES: Final = 1_000_000

SHOWN_USERS: Final = 3
"""Machines that joined with a token, in the list; --json has more."""

Ttl = Annotated[Duration, Parameter(help="How long it is good for, such as 30m, 4h or 7d.")]
Tags = Annotated[list[str] | None, Parameter(name="--tag", help="Tag of whoever joins with it; may be repeated.")]
Template = Annotated[
    str | None, Parameter(help="Template that says what is not said here (pulse template list); its tags come on top.")
]
Name = Annotated[str | None, Parameter(help="Name of the one machine that joins with it.")]

app = App(
    name="token",
    help=(
        "Show the CA's master token; make, list and revoke others.\n\n"
        "On the scribe, the CA or an operator.\n\nMore: pulse help tokens"
    ),
)


@app.default
def master(*, json: Json = False, data_dir: DataDir = None) -> None:
    """Show the token the CA accepts from any machine at any time."""
    with connect(data_dir) as client:
        found = TokenCalls(client).master_token()
    if json:
        print_json(found)
    else:
        print(found.token)


@app.command
def create(
    *,
    ttl: Ttl | None = None,
    max_uses: int | None = None,
    tag: Tags = None,
    name: Name = None,
    template: Template = None,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Make a join token and print it, this once.

    Good until it is revoked and for any number of machines, unless said otherwise.

    Parameters
    ----------
    max_uses
        How many machines may join with it; 0 for no limit.
    """
    request = _request(ttl, max_uses, tag, name, template)
    with connect(data_dir) as client:
        created = TokenCalls(client).create_token(request)
    if json:
        print_json(created)
        return
    print(created.token, flush=True)
    _show_terms(request, created.info)


@app.command(name="list")
def list_tokens(*, json: Json = False, data_dir: DataDir = None) -> None:
    """List the CA's tokens: everything but their secrets."""
    with connect(data_dir) as client:
        found = TokenCalls(client).list_tokens()
    if json:
        print_json(found)
    elif found:
        now = clock.wall()
        columns = ("TOKEN", "STATE", "USES", "ENDS", "TAGS", "NAME", "USED BY")
        print_table(columns, [_row(token, now) for token in found])
    else:
        print("no tokens (make one: pulse token create --ttl 1h --max-uses 1)")


@app.command
def revoke(token: str, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Revoke a token: nobody joins with it any more; who did so stays.

    Parameters
    ----------
    token
        The first digits of its id, as `pulse token list` shows it.
    """
    with connect(data_dir) as client:
        found = TokenCalls(client).revoke_token(token)
    if json:
        print_json(found)
    else:
        print(f"revoked {found.id[:SHORT_ID]}, used by {counted(found.uses, 'machine')}")


def invite(
    *,
    ttl: Ttl | None = None,
    max_uses: int | None = None,
    tag: Tags = None,
    name: Name = None,
    template: Template = None,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Make a line to paste on the next machine.

    Good for an hour and one machine, unless said otherwise. On the scribe, the CA or an operator.

    More: pulse help tokens

    Parameters
    ----------
    max_uses
        How many machines may join with it; 0 for no limit.
    """
    request = _request(ttl, max_uses, tag, name, template)
    with connect(data_dir) as client:
        made = TokenCalls(client).invite(request)
    if json:
        print_json(made)
        return
    print(f"pulse join {made.invite}" if is_terminal() else made.invite, flush=True)
    _show_terms(request, made.info)


def _request(
    ttl: float | None, max_uses: int | None, tags: list[str] | None, name: str | None, template: str | None
) -> TokenRequest:
    if max_uses is not None and not 0 <= max_uses <= MOST_USES:
        raise ConfigError(f"--max-uses: {max_uses} is out of range. Write 1 to {MOST_USES}, or 0 for no limit")
    if name and max_uses not in (None, 1):
        raise ConfigError(
            f"--max-uses: {max_uses or 'any number of'} machines cannot all be called {name}. Leave out one of the two"
        )
    return TokenRequest(ttl, UNSET if max_uses is None else max_uses, tags or [], name, template)


def _show_terms(asked: TokenRequest, made: TokenInfo) -> None:
    """What it is good for; and of that what a template said, which somebody else may have written since."""
    print(_terms(made), file=sys.stderr)
    if asked.template is None:
        return
    filled = (
        ("tags", " ".join(tag for tag in made.tags if tag not in asked.tags)),
        ("name", "" if asked.name else made.name or ""),
        ("ttl", "" if asked.ttl is not None or made.expires is None else spelled_span(made.expires - made.created)),
        ("uses", "" if asked.max_uses is not UNSET or asked.name or not made.max_uses else str(made.max_uses)),
    )
    said = ", ".join(f"{what} {value}" for what, value in filled if value) or "nothing"
    print(f"by template {asked.template}: {said}", file=sys.stderr)


def _terms(token: TokenInfo) -> str:
    time = "until it is revoked" if token.expires is None else f"for {spelled_span(token.expires - token.created)}"
    machines = "any number of machines" if not token.max_uses else _machines(token.max_uses)
    return f"good {time} and {machines}{f', called {token.name}' if token.name else ''}"


def _machines(count: int) -> str:
    return "one machine" if count == 1 else f"{count} machines"


def _row(token: TokenInfo, now: float) -> tuple[str, ...]:
    return (
        token.id[:SHORT_ID],
        token.state.replace("_", " ") + (" (master)" if token.master else ""),
        f"{token.uses} of {token.max_uses}" if token.max_uses else str(token.uses),
        _end(token.expires, now),
        " ".join(token.tags) or DASH,
        token.name or DASH,
        _shown(token.used_by) or DASH,
    )


def _shown(users: list[str]) -> str:
    """The latest ones, and that there are more."""
    more = ("…",) if len(users) > SHOWN_USERS else ()
    return " ".join((*more, *users[-SHOWN_USERS:]))


def _end(at: float | None, now: float) -> str:
    if at is None:
        return "never"
    return f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"
