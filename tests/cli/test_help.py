"""`pulse help`: topics, commands, and words that are neither."""

import re
from collections.abc import Iterator
from pathlib import Path

from pulse.cli.app import COMMANDS, app
from pulse.cli.help import TOPICS, text_of
from tests.cli.shell import Shell
from tests.cli.test_reads import leaves


def test_without_a_word_it_lists_the_topics(shell: Shell) -> None:
    done = shell.pulse("help")

    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[1 : len(TOPICS) + 1]] == list(TOPICS)
    assert "pulse help policy" in done.out


def test_a_topic_is_told_as_it_is_written(shell: Shell) -> None:
    assert shell.pulse("help", "exit-codes").out == text_of("exit-codes")


def test_a_topic_is_the_same_in_the_singular_and_the_plural_but_a_command_goes_first(shell: Shell) -> None:
    assert shell.pulse("help", "exit").out == text_of("exits")
    assert shell.pulse("help", "link").out == text_of("links")
    assert shell.pulse("help", "token").out == shell.pulse("token", "--help").out
    assert shell.pulse("help", "exi").err == 'error: no help on "exi". Did you mean: pulse help exits?\n'


def test_a_command_is_told_as_by_its_help(shell: Shell) -> None:
    assert shell.pulse("help", "acl", "add").out == shell.pulse("acl", "add", "--help").out


def test_what_is_neither_is_refused_with_the_nearest(shell: Shell) -> None:
    done = shell.pulse("help", "poliy")
    assert (done.code, done.out) == (4, "")
    assert done.err == 'error: no help on "poliy". Did you mean: pulse help policy?\n'

    done = shell.pulse("help", "acl", "ad")
    assert done.err == 'error: no help on "acl ad". Did you mean: pulse help acl add?\n'

    done = shell.pulse("help", "zzzzzz")
    assert done.err == 'error: no help on "zzzzzz". See: pulse help\n'


def test_a_command_says_who_may_and_which_topic_explains_it(shell: Shell) -> None:
    told = shell.pulse("revoke", "--help").out
    assert "On the scribe, the CA or an operator.\n" in told
    assert "\nMore: pulse help trust\n" in told


def test_what_holds_if_nothing_is_said_is_told() -> None:
    silent = [f"{name} {flag} ({default})" for name, _ in leaves() for flag, default in untold(name)]
    assert silent == []


def untold(name: str) -> Iterator[tuple[str, str]]:
    """Parameters of a command whose help does not say what holds without them, and that."""
    command = app
    for word in name.split():
        command = command[word]
    for argument in command.assemble_argument_collection(parse_docstring=True):
        default = argument.field_info.default
        if isinstance(default, (int, float, str)) and not isinstance(default, bool) and default not in ("", 0):
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            if f"({shown})" not in str(argument.parameter.help):
                yield argument.name, shown


def test_topics_that_commands_name_are_there() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    named = set(re.findall(r"pulse help ([a-z-]+)", reference))
    assert named - {*TOPICS} - {*COMMANDS} == set()
    assert len(named) > 5
