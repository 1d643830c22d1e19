"""Writes what the docs have of the code itself: commands, topics, settings, errors, the SDK, and the manual page.

`make reference` writes it here; with a directory it is written there, as a test does to compare.
"""

import ast
import inspect
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import manpage
import msgspec
import sdkpage
from cyclopts import App

from pulse import config, errors
from pulse.cli.app import app
from pulse.cli.help import TOPICS, summary_of, text_of
from pulse.cli.options import NodeFlags
from pulse.flags import SETTINGS, VARIABLES

ROOT = Path(__file__).parents[1]
WRITTEN = "<!-- Written by `make reference` from {source}; a test keeps it current. -->\n\n"
SETTINGS_HEAD = """\
# Settings of a node

What goes before what: `pulse help settings`. `pulse config check` judges a file. The network config, which the scribe
signs, is [another file](config-file.md).
"""
ERRORS_HEAD = """\
# Errors

What goes wrong is one of these, on the command line, over HTTP and in the code (`pulse.errors`). The text says what is
wrong, then the next step; over HTTP (RFC 9457) it is `detail`, beside `error`, the class.

| class | what it is | exit code | HTTP |
|---|---|---|---|
"""
ERRORS_FOOT = """
The exit code is 0 if all went well and 130 after Ctrl-C; what else commands end with: `pulse help exit-codes`. Streams
have codes of their own: [forward](../howto/forward.md). What is refused to whom, item by item: [refusals](refusals.md).
"""


def cli() -> str:
    """All commands with their help, as Markdown."""
    _inherit(app)
    return WRITTEN.format(source="the commands themselves") + _commands()


def _commands() -> str:
    return app.generate_docs(output_format="markdown", usage_name="pulse").rstrip() + "\n"


def _inherit(parent: App) -> None:
    """A command shows its flags as its parent would: what a run inherits, the generator does not."""
    for name in parent:
        if name.startswith("-") or not isinstance(child := parent[name], App):
            continue
        child.default_parameter = child.default_parameter or parent.default_parameter
        _inherit(child)


def topics() -> str:
    """The texts of `pulse help`, as Markdown."""
    lines = [WRITTEN.format(source="src/pulse/cli/topics"), "# What `pulse help` tells\n\n"]
    lines += [f"- [{topic}](#{topic}): {summary_of(topic)}\n" for topic in TOPICS]
    lines += [f"\n## {topic}\n```text\n{text_of(topic)}```\n" for topic in TOPICS]
    return "".join(lines)


def settings() -> str:
    """Every key of config.toml with its flag, variable and default, as Markdown."""
    flags = {path: flag for flag, path in SETTINGS.items()}
    variables = {path: name for name, path in VARIABLES.items()}
    said = _said()
    lines = [WRITTEN.format(source="src/pulse/config.py and src/pulse/flags.py"), SETTINGS_HEAD]
    for section in msgspec.structs.fields(config.NodeConfig):
        lines.append(f"\n## [{section.name}]\n{inspect.getdoc(section.type)}\n\n")
        lines.append("| key | flag | variable | default | what it is |\n|---|---|---|---|---|\n")
        for field in msgspec.structs.fields(section.type):
            path = f"{section.name}.{field.name}"
            flag = f"`--{flags[path]}`" if path in flags else "-"
            variable = f"`{variables[path]}`" if path in variables else "-"
            lines.append(
                f"| `{field.name}` | {flag} | {variable} | {_default(field)} | {_cell(said.get(path, ''))} |\n"
            )
    allowed = ", ".join(f"`{path}`" for path in config.CHANGED_FROM_AFAR)
    return "".join([*lines, f"\nOperators may be allowed to change: {allowed}.\n"])


def _said() -> dict[str, str]:
    """What is said of each setting: beside its key, else with its flag."""
    found = {}
    for field in fields(NodeFlags):
        parameter = next(each for each in get_args(field.type)[1:] if hasattr(each, "help"))
        if path := SETTINGS.get(field.name.replace("_", "-")):
            found[path] = parameter.help
    names = {type(getattr(config.NodeConfig(), each.name)).__name__: each.name for each in _sections()}
    for node in ast.parse(inspect.getsource(config)).body:
        if isinstance(node, ast.ClassDef) and node.name in names:
            for key, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(key, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(key.target, ast.Name):
                    found[f"{names[node.name]}.{key.target.id}"] = ast.literal_eval(text.value)
    return found


def _sections() -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(config.NodeConfig)


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if value in ("", ()) or value is msgspec.NODEFAULT:
        return "-"
    return f"`{value:.0f}`" if isinstance(value, float) and value.is_integer() else f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def failures() -> str:
    """Every error pulse raises on purpose, with its exit code and HTTP status, as Markdown."""
    lines = [WRITTEN.format(source="src/pulse/errors.py"), ERRORS_HEAD]
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.PulseError):
            what = _cell(inspect.getdoc(kind) or "")
            lines.append(f"| `{name}` | {what} | {kind.exit_code} | {kind.http_status} |\n")
    lines.append(ERRORS_FOOT)
    return "".join(lines)


def sdk() -> str:
    """All that programs see, as Markdown."""
    return WRITTEN.format(source="src/pulse/sdk") + sdkpage.page()


def manual() -> str:
    """The manual page pulse(1)."""
    return manpage.page(_commands(), [(topic, text_of(topic)) for topic in TOPICS])


FILES = {
    "docs/reference/cli.md": cli,
    "docs/reference/topics.md": topics,
    "docs/reference/settings.md": settings,
    "docs/reference/errors.md": failures,
    "docs/reference/sdk.md": sdk,
    "deploy/wheel/data/share/man/man1/pulse.1": manual,
}


def write(directory: Path) -> None:
    """Write all of it below a directory."""
    for name, made in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if sys.argv[1:] else ROOT)
