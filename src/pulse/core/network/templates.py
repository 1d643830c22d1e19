"""Templates: what a new node gets, under a name, so that nobody types it twice.

Invariant: a template gives nothing of itself; it fills in what the maker of a token left unsaid, and the token is then
judged like any other.
"""

from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from pulse.core.durations import duration_text, parse_duration
from pulse.core.messages import Wire, printable, shortened
from pulse.core.trust.certificates import TAGS_LIMIT
from pulse.core.trust.identity import check_name, check_tag
from pulse.core.types import ShortText, may_name_node
from pulse.errors import Refused

TEMPLATES_LIMIT: Final = 256
"""Templates of one config."""

MOST_USES: Final = 1_000_000
LONGEST: Final = 10 * 365 * 86400
"""Seconds that a token can be good for: as long as a CA."""

NUMBER: Final = "*"
"""Stands in a pattern of names for a number."""

_MOST_NUMBERS: Final = 10_000

Uses = Annotated[int, msgspec.Meta(ge=0, le=MOST_USES)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=LONGEST)]


class Template(Wire, frozen=True):
    """What tokens made from it are good for; later releases append fields."""

    tags: Annotated[list[ShortText], msgspec.Meta(max_length=TAGS_LIMIT)] = msgspec.field(default_factory=list)
    name: ShortText = ""
    """A name, or a pattern with one `*` for the lowest free number; empty for whatever machines ask to be called."""
    ttl: Seconds | None = None
    """Seconds a token is good for; None for ever."""
    uses: Uses = 0
    """Machines that may join with one token; 0 for no limit. One, if they get a name."""


Templates = Annotated[dict[ShortText, Template], msgspec.Meta(max_length=TEMPLATES_LIMIT)]


def check_template(name: str, template: Template) -> None:
    """Raise Refused if there can be no such template."""
    check_name(name, "a template")
    for tag in template.tags:
        check_tag(tag)
    if len(set(template.tags)) < len(template.tags):
        raise Refused(f"template {name} would give one tag twice")
    if template.name and template.uses > 1:
        raise Refused(f"template {name} names machines, so each of its tokens is for one. Leave out the uses")
    pattern = template.name
    if pattern and not (pattern.count(NUMBER) <= 1 and all(map(may_name_node, _first_and_last(pattern)))):
        raise Refused(
            f'"{shortened(pattern)}" cannot name machines: a name with at most one * for a number, as in web-*, '
            "that does not read as a node id"
        )


def free_name(pattern: str, is_taken: Callable[[str], bool]) -> str:
    """The name of the next machine: the pattern with the lowest number that is free.

    Raises Refused if there is none; a name without a number is judged where the token is made.
    """
    if NUMBER not in pattern:
        return pattern
    names = (pattern.replace(NUMBER, str(number)) for number in range(1, _MOST_NUMBERS + 1))
    found = next((each for each in names if not is_taken(each)), None)
    if found is not None:
        return found
    raise Refused(f"all names like {shortened(pattern)} are taken")


def whole_seconds(ttl: float | str | None) -> int | None:
    """How long tokens are good for, of seconds or a duration such as `4h`; raises ConfigError or Refused."""
    if ttl is None:
        return None
    seconds = parse_duration(ttl) if isinstance(ttl, str) else ttl
    if not 1 <= seconds <= LONGEST or seconds != int(seconds):
        raise Refused(f"tokens are good for whole seconds, up to {LONGEST}, not for {seconds:g}")
    return int(seconds)


def describe_template(template: Template) -> str:
    """`tags web, name web-*, ttl 1h, 1 use`."""
    parts = (
        f"tags {' '.join(template.tags)}" if template.tags else "",
        f"name {template.name}" if template.name else "",
        f"ttl {duration_text(template.ttl)}" if template.ttl else "",
        f"{template.uses} {'use' if template.uses == 1 else 'uses'}" if template.uses else "",
    )
    return printable(", ".join(filter(None, parts)) or "nothing")


def _first_and_last(pattern: str) -> tuple[str, str]:
    return pattern.replace(NUMBER, "1"), pattern.replace(NUMBER, str(_MOST_NUMBERS))
