"""What is typed behind `:`: a view's name, or a command of pulse as on any other line.

Each action of a key is such a command, written as far as it can be. Invariant: what cannot be taken back, or breaks
connections, is asked for once more; what would take the whole terminal, or is no command, is not begun.
"""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulse.interpreter import program

PATIENCE: Final = 60.0
"""Seconds a command may take."""

GLANCE: Final = 0.2
"""Seconds between two looks at whether somebody still waits for it."""

FINAL: Final = (
    *("revoke", "stop", "ca rotate", "ca restore", "acl remove", "token revoke", "config apply", "api-key revoke"),
    *("template remove", "groups remove", "ca ungrant", "dns remove", "route remove", "acl test remove"),
    *("restart", "reload", "remote-config", "setup dns", "install-service", "cert install"),
)
"""Commands that are asked about: what they change is not changed back by a line, or cuts what runs."""

ALONE: Final = frozenset({"top", "demo", "lab", "detached", "start", "join", "forward", "connect"})
"""Commands that take a terminal, or are not about this node."""

OF_THE_MACHINE: Final = (
    *("stop", "restart", "reload", "remote-config", "setup", "install-service", "version", "doctor", "bug-report"),
    *("logs", "api-key", "cert request", "cert install", "ca backup", "ca restore", "ca sign", "ca rotate", "ca grant"),
    "ca ungrant",
)
"""Commands about the files of the machine they are typed on, or that its node takes by no key."""

LOOKING: Final = ("ca rotate",)
"""Commands that with --status change nothing."""

_COMMAND: Final = re.compile(r"[a-z][a-z-]*")
"""Whatever else goes first on a line of pulse is a node to start with, or an invite."""

ENDLESS: Final = frozenset({"-f", "--follow", "--watch"})


@dataclass(frozen=True, slots=True)
class Command:
    """A line that can be run."""

    words: tuple[str, ...]
    question: str
    """What to ask before; empty if nothing."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it."""

    text: str
    failed: bool


def read(text: str, *, elsewhere: bool = False) -> Command | str:
    """The command in a typed line, or why it is none; `elsewhere` is the node that is shown. Views come before."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        return f"this cannot be read: {error}"
    words = words[1:] if words[:1] == ("pulse",) else words
    if not words:
        return "type a view or a command: nodes, policy, tag laptop backend"
    if words[0].startswith("-") or words[0] in ALONE:
        return f"pulse {words[0]} is for a terminal of its own"
    if not _COMMAND.fullmatch(words[0]):
        return f"{words[0]} is neither a view nor a command"
    line = " ".join(words)
    looks = "--status" in words and bool(_first_of(LOOKING, line))
    if elsewhere and not looks and (local := _first_of(OF_THE_MACHINE, line)):
        return f"pulse {local} is done on a node's own machine alone: log in there"
    if ENDLESS & {*words}:
        return f"here nothing goes on for ever: leave out {' '.join(sorted(ENDLESS & {*words}))}"
    asks = _first_of(FINAL, line) or (words[0] == "bulk" and "revoke" in words)
    return Command(words, f"pulse {line}: sure?" if asks and not looks else "")


def run(
    command: Command,
    data_dir: Path | None,
    environment: Mapping[str, str] = os.environ,
    left: Callable[[], bool] = lambda: False,
) -> Done:
    """Run it as a process of its own, about the node that is shown, and wait for its end.

    Once `left` is true nobody waits for it: it is interrupted, as by Ctrl-C.
    """
    variables = {**environment, "NO_COLOR": "1", "COLUMNS": "200"}
    if data_dir is not None:
        variables["PULSE_DATA_DIR"] = str(data_dir)
    answered = {"--yes", "-y", "--status"} & {*command.words}
    answers = ["--yes"] if command.words[:2] in (("ca", "rotate"), ("config", "apply")) and not answered else []
    line = program("pulse", *command.words, *answers)
    patience = time.monotonic() + PATIENCE
    with subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
    ) as process:
        while True:
            try:
                said = process.communicate(timeout=GLANCE)
                return Done("".join(said).strip() or "done", failed=process.returncode != 0)
            except subprocess.TimeoutExpired:
                if left():
                    process.send_signal(signal.SIGINT)
                    return Done("interrupted", failed=True)
                if time.monotonic() > patience:
                    process.kill()
                    return Done(f"pulse {' '.join(command.words)} was not done after {PATIENCE:.0f} s", failed=True)


def _first_of(commands: Sequence[str], line: str) -> str:
    """The command that a line begins with; empty if it is none of these."""
    return next((each for each in commands if f"{line} ".startswith(f"{each} ")), "")


def written(key: str, cells: Sequence[str], view: str) -> str:
    """The command that a key stands for, about the line under the cursor; empty if it stands for none there."""
    template = _WRITTEN.get((view, key), "")
    if not cells and "{" in template:
        return ""
    return template.format(*(shlex.quote(each) for each in cells))


_OF_A_NODE: Final[Mapping[str, str]] = {
    "t": "tag {0} ", "u": "untag {0} ", "n": "name {0} ", "p": "pin {0} ", "P": "unpin {0}", "R": "revoke {0}",
}  # fmt: skip

_WRITTEN: Final[Mapping[tuple[str, str], str]] = {
    **{(view, key): text for view in ("nodes", "paths") for key, text in _OF_A_NODE.items()},
    ("policy", "a"): "acl add --from ",
    ("policy", "m"): "acl move {1} ",
    ("policy", "R"): "acl remove {1}",
    ("policy", "e"): "acl explain ",
    ("tokens", "a"): "token create --ttl 1h --max-uses 1",
    ("tokens", "R"): "token revoke {0}",
    ("dns", "a"): "dns add ",
    ("dns", "R"): "dns remove {0} {1} {2}",
    ("routes", "a"): "route approve {0} --node {1}",
    ("routes", "R"): "route remove {0} --node {1}",
}
"""Keys by view; `{0}` is the first cell of the line under the cursor. Rules go by their ids: numbers move."""
