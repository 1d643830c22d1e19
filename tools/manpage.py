"""The manual page, from the Markdown that the command tree writes of itself, and from the topics of `pulse help`."""

import re
from collections.abc import Iterable, Iterator

HEAD = """\
.\\" Written by `make reference`; a test keeps it current.
.TH PULSE 1 "" pulse "User Commands"
.SH NAME
pulse \\- an encrypted mesh network
.SH SYNOPSIS
.B pulse
.RI [ flags ]
.RI [ peers ...]
.br
.B pulse
.I command
.RI [ options ]
.br
.B pulse help
.RI [ topic ]
.SH DESCRIPTION
Machines join with a token, get a certificate from the mesh's own CA, and reach each other by mesh addresses as if on
one LAN: directly where the network lets them, else through any other node, which reads nothing.
Without a command a node runs in the foreground.
"""
FOOT = """\
.SH SEE ALSO
.BR ssh (1),
.BR systemctl (1)
"""

_ITEM = re.compile(r"\* `(?P<term>[^`]+)`: ?(?P<text>.*)")
_LINK = re.compile(r"\[`?([^\]`]+)`?\]\(#[^)]*\)")


def page(commands: str, topics: Iterable[tuple[str, str]]) -> str:
    """The page of these commands (Markdown) and topics (a name and a text each)."""
    own, *others = re.split(r"^#{2,} (?=pulse )", commands, flags=re.MULTILINE)
    lines = [HEAD, ".SH OPTIONS OF A NODE\n", *_items(own.partition("**Arguments**:")[2].splitlines())]
    lines.append(".SH COMMANDS\n")
    for command in others:
        lines += _command(command)
    lines.append(".SH TOPICS\nThe same as\n.B pulse help\n.IR topic .\n")
    for name, text in topics:
        lines += [f".SS {name}\n", *_topic(text)]
    return "".join([*lines, FOOT])


def _command(markdown: str) -> Iterator[str]:
    name, _, rest = markdown.partition("\n")
    usage = re.search(r"```console\n(.*?)\n```\n", rest, re.DOTALL)
    yield f".SS {_safe(usage[1] if usage else name)}\n"
    told = rest.replace(usage[0], "") if usage else rest
    yield from _items(line for line in told.splitlines() if not line.startswith("**"))


def _items(lines: Iterable[str]) -> Iterator[str]:
    """Terms with what they mean, and sentences between."""
    for raw in lines:
        line = _LINK.sub(r"`\1`", raw.strip()).replace("``", "`")
        if found := _ITEM.fullmatch(line):
            yield f".TP\n.B {_safe(found['term'])}\n{_safe(found['text'])}\n"
        elif line and not line.startswith(("**", "#")):
            yield f"{_safe(line)}\n"


def _topic(text: str) -> Iterator[str]:
    """Sentences run on; what is indented stays as it is."""
    for number, paragraph in enumerate(text.strip("\n").split("\n\n")):
        lines = [f"{_safe(line)}\n" for line in paragraph.split("\n")]
        if number:
            yield ".PP\n"
        yield from (".EX\n", *lines, ".EE\n") if paragraph.startswith("    ") else lines


def _safe(text: str) -> str:
    """Words as roff prints them: nothing in them is a request."""
    text = text.replace("\\[", "[").replace("**", "").replace("*[", "[").replace("]*", "]").replace("\\", "\\e")
    text = text.replace("-", "\\-").replace("'", "\\(aq").replace("`", "")
    return f"\\&{text}" if text.startswith((".", "'")) else text
