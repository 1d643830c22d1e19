"""Command lines as texts write them, and whether pulse would take them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from cyclopts import CycloptsError, MissingArgumentError

from pulse.cli import mistakes
from pulse.cli.app import COMMANDS, app
from pulse.cli.argv import spelled_out
from pulse.errors import PulseError

_FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(pulse [^`\n]*)`")
_PROMPT = re.compile(r"^([a-z][a-z0-9-]*)?[$#] ")
_ENDS = {"<", "|", "&&", ";", ">", ">>", "&", "||"}
_SYNOPSIS = re.compile(r"[\[\]]|\w\\?\|\w|\w …$")
"""Choices and what may be left out: said of a command, and no line to type."""


def in_fences(markdown: str) -> Iterator[str]:
    """The lines of code that run pulse."""
    for block in _FENCE.findall(markdown):
        yield from typed(block)


def typed(text: str) -> Iterator[str]:
    """Lines that a person would type, without the prompt and what is said of them beside."""
    for line in text.splitlines():
        words = _PROMPT.sub("", line.strip()).removeprefix("sudo ")
        if words.startswith("pulse ") and not re.match(r"pulse \d", words) and not _SYNOPSIS.search(words):
            yield re.split(r"\s{2,}|\s#\s", words)[0]


def inline(markdown: str) -> Iterator[str]:
    """Commands named in sentences: they may lack what they need, and synopses are left out."""
    for said in _INLINE.findall(_FENCE.sub("", markdown)):
        if not _SYNOPSIS.search(said):
            yield said


def mistake(line: str, *, whole: bool = True) -> str:
    """What pulse would say of this line; empty if it would run it. Not `whole`: arguments may be missing."""
    words = shlex.split(re.sub(r"<[^>]*>", "placeholder", line), comments=True)[1:]
    end = next((place for place, word in enumerate(words) if word in _ENDS), len(words))
    words = words[:end]
    try:
        if words and words[0] not in app and not words[0].startswith("-"):
            mistakes.check_peer(words[0], COMMANDS)
        app.parse_args(spelled_out(words), exit_on_error=False, print_error=False)
    except MissingArgumentError as error:
        return mistakes.explained(error) if whole else ""
    except CycloptsError as error:
        return mistakes.explained(error)
    except PulseError as error:
        return str(error)
    return ""


def texts(root: Path) -> list[Path]:
    """Everything people read that is kept by hand: decisions are of their day, and the changelog, too."""
    kept = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return sorted(path for path in kept if path.name != "CHANGELOG.md" and path.parent.name != "decisions")
