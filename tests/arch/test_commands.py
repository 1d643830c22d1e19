"""What the docs say to type is what pulse takes."""

from pathlib import Path

import pytest

from pulse.cli.help import TOPICS, text_of
from tests.arch import commands

ROOT = Path(__file__).parents[2]
TEXTS = [path for path in commands.texts(ROOT) if path.name not in {"cli.md", "topics.md", "parity.md"}]
"""But what is made of the code, and the list of promises, which names mistakes, too."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_lines_to_type_are_commands(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    wrong = {line: told for line in commands.in_fences(text) if (told := commands.mistake(line))}
    wrong |= {line: told for line in commands.inline(text) if (told := commands.mistake(line, whole=False))}
    assert wrong == {}


@pytest.mark.parametrize("topic", TOPICS)
def test_lines_of_topics_are_commands(topic: str) -> None:
    indented = "\n".join(line for line in text_of(topic).splitlines() if line.startswith("    "))
    assert {line: told for line in commands.typed(indented) if (told := commands.mistake(line))} == {}


def test_what_pulse_would_not_take_is_found() -> None:
    fence = "```\n$ pulse statsu\n$ sudo pulse acl add --from a --to b --too c   # no\n```\n"
    fence += "See `pulse acl ad` and `pulse id`."

    assert [commands.mistake(line) for line in commands.in_fences(fence)] == [
        'no command "statsu". Did you mean: pulse status? (To start a node with a peer, write host:port.)',
        'pulse acl add has no flag "--too". Did you mean: --to?',
    ]
    assert [commands.mistake(line, whole=False)[:20] for line in commands.inline(fence)] == ['no command "acl ad".', ""]
    assert commands.mistake("pulse ping") == "pulse ping needs NODE. See: pulse ping --help"
