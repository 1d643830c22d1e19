"""`pulse help`: short texts about what commands alone don't explain, and the help of each command.

Invariant: a topic is a file in topics/, which the manual page and docs/reference/topics.md are made of, too.
"""

from pathlib import Path
from typing import Final

from pulse.cli.app import app
from pulse.cli.output import print_table
from pulse.core.likeness import nearest
from pulse.errors import NotFound

TOPICS: Final = (
    "quickstart", "links", "paths", "trust", "tokens", "roles", "policy", "names", "exits", "services",
    "settings", "environment", "files", "exit-codes", "troubleshooting",
)  # fmt: skip
"""In the order in which somebody new reads them."""

_DIRECTORY: Final = Path(__file__).parent / "topics"


def text_of(topic: str) -> str:
    """What there is to read: a line that sums it up, an empty one, then the rest."""
    return (_DIRECTORY / f"{topic}.txt").read_text(encoding="utf-8")


def summary_of(topic: str) -> str:
    """Its first line."""
    return text_of(topic).partition("\n")[0]


def tell(*words: str) -> None:
    """Tell about a topic, such as policy, or about a command.

    Without a word it lists the topics.

    Parameters
    ----------
    words
        A topic, such as policy, or a command, such as acl add.
    """
    if not words:
        _list()
    elif len(words) == 1 and (topic := _topic(words[0])):
        print(text_of(topic), end="")
    else:
        _command(words)


def _topic(word: str) -> str:
    """The topic of that name, in the singular or the plural unless that is a command; empty if there is none."""
    if word in TOPICS or word in app:
        return word if word in TOPICS else ""
    return next((topic for topic in TOPICS if topic.removesuffix("s") == word.removesuffix("s")), "")


def _list() -> None:
    print_table(("TOPIC", "WHAT IT TELLS"), [(topic, summary_of(topic)) for topic in TOPICS])
    print("\nRead one: pulse help policy. A command: pulse help acl add. All commands: pulse --help")


def _command(words: tuple[str, ...]) -> None:
    _, found, unknown = app.parse_commands(words)
    if unknown:
        inside = len(found) > 1
        known = [name for name in found[-1] if not name.startswith("-")] + ([] if inside else list(TOPICS))
        before = words[: len(words) - len(unknown)]
        near = nearest(unknown[0], known)
        told = f"Did you mean: {' '.join(('pulse help', *before, near))}?" if near else "See: pulse help"
        raise NotFound(f'no help on "{" ".join(words)}". {told}')
    app.help_print(words)
