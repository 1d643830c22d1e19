"""`pulse template …`: what new nodes of a kind get, under a name; `pulse invite --template` uses it.

Invariant: parse, one call, print.
"""

from typing import Annotated

from cyclopts import App, Parameter

from pulse.calls.templates import TemplateCalls
from pulse.cli.output import print_json, print_table
from pulse.cli.values import DataDir, Duration, Json
from pulse.client import connect
from pulse.schemas.config import TemplateRequest, TemplateView
from pulse.wording import DASH, counted, spelled_span

app = App(
    name="template",
    help=(
        "Say what new nodes of a kind get, for invites and tokens.\n\n"
        "Tokens and invites are made from it. Edits on the scribe, the CA or an operator, lists on every node."
        "\n\nMore: pulse help tokens"
    ),
)

Tags = Annotated[list[str] | None, Parameter(name="--tag", help="Tag of whoever joins; may be repeated.")]
Called = Annotated[
    str, Parameter(name="--name", help="Name of whoever joins: web-1, or web-* for the lowest free number.")
]
Ttl = Annotated[Duration | None, Parameter(help="How long a token is good for, such as 30m, 4h or 7d.")]
Uses = Annotated[int, Parameter(help="How many machines may join with one token; 0 leaves that to who makes it (0).")]


@app.default
@app.command(name="list")
def list_templates(*, json: Json = False, data_dir: DataDir = None) -> None:
    """List the templates."""
    with connect(data_dir) as client:
        found = TemplateCalls(client).templates()
    if json:
        print_json(found)
    elif found:
        print_table(("TEMPLATE", "TAGS", "NAME", "TTL", "USES"), [_row(each) for each in found])
    else:
        print("no templates (make one: pulse template set web --tag web --name 'web-*' --ttl 1h)")


@app.command(name="set")
def set_template(
    template: str,
    /,
    *,
    tag: Tags = None,
    called: Called = "",
    ttl: Ttl = None,
    max_uses: Uses = 0,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Say what a template gives, all of it; it is made if it is not there.

    Parameters
    ----------
    template
        What it is called: lower case letters, digits and inner -
    """
    request = TemplateRequest(template, tag or [], called, ttl, max_uses)
    with connect(data_dir) as client:
        found = TemplateCalls(client).set_template(request)
    if json:
        print_json(found)
    else:
        print(f"set template {found.name}; use it: pulse invite --template {found.name}")


@app.command
def remove(template: str, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Take a template away; tokens made from it stay what they are.

    Parameters
    ----------
    template
        The template, as `pulse template list` shows it.
    """
    with connect(data_dir) as client:
        found = TemplateCalls(client).remove_template(template)
    if json:
        print_json(found)
    else:
        print(f"removed template {found.name}")


def _row(template: TemplateView) -> tuple[str, ...]:
    return (
        template.name,
        " ".join(template.tags) or DASH,
        template.node_name or DASH,
        DASH if template.ttl is None else spelled_span(template.ttl),
        counted(template.max_uses, "machine") if template.max_uses else DASH,
    )
