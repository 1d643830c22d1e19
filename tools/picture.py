"""Draws a terminal picture of a command: `tools/picture.py docs/demo.svg pulse demo` (`make picture`).

The picture is what the command really printed, once, in this run.
"""

import html
import re
import subprocess
import sys
from pathlib import Path

WIDTH = 80
"""Characters of the narrowest picture."""
CHARACTER = 8.4
LINE = 19
MARGIN = 18
COLOURS = {"✓": "#4ec97b", "✗": "#f0716b"}


def main() -> None:
    """Run the command and write the picture."""
    target, *command = sys.argv[1:]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shown = f"$ {' '.join(command)}\n{done.stdout}".rstrip("\n").split("\n")
    Path(target).write_text(svg(shown), encoding="utf-8")


def svg(lines: list[str]) -> str:
    """The picture of these lines."""
    width = max(WIDTH, *map(len, lines)) * CHARACTER + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    texts = "\n".join(
        f'<text x="{MARGIN}" y="{MARGIN + LINE * (number + 0.75):.0f}">{coloured(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" role="img" '
        f'aria-label="What pulse demo prints">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#15191f"/>\n'
        f'<g font-family="ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" '
        f'fill="#d5dae0">\n{texts}\n</g>\n</svg>\n'
    )


def coloured(line: str) -> str:
    """The line as SVG text, its ticks green and its commands grey."""
    # Browsers make one space of several, whatever xml:space says.
    text = re.sub(r"^ | {2,}", lambda found: "\N{NO-BREAK SPACE}" * len(found[0]), html.escape(line))
    for mark, colour in COLOURS.items():
        text = text.replace(mark, f'<tspan fill="{colour}">{mark}</tspan>')
    is_command = line.startswith(("       ", "$ "))
    return f'<tspan fill="#8b95a1">{text}</tspan>' if is_command else text


if __name__ == "__main__":
    main()
