"""What the keys of `pulse top` do: as actions of the application, and in words."""

from typing import Final

from textual.binding import Binding
from textual.widgets import DataTable

from pulse.tui.tables import TABLES

KEYS: Final = {
    **{str(place): f"view({place - 1})" for place in range(1, len(TABLES) + 1)},
    "slash": "type('filter')",
    "colon": "type('command')",
    "s": "sort",
    "S": "turn",
    "d": "describe",
    "question_mark": "help",
    "escape": "leave",
    "q": "out",
    "ctrl+c": "quit",
    **{key: f"write('{key}')" for key in "tunpPRaem"},
    **{each.key: f"move('{each.action}')" for each in DataTable.BINDINGS if isinstance(each, Binding)},
    "enter": "describe",
}

HELP: Final = """\
1 … 9     nodes, paths, policy, tokens, dns, routes, certs, …
/         only lines with these words; Escape: all again
s, S      sort by the next column; turn the order round
d, Enter  details of a line; of a node also why that path
:         a view's name, or a command (: tag laptop backend)
q         back to the nodes, and from there out; Ctrl-C: out

With a node under the cursor
t, u      give it a tag, take one away
n         name it
p, P      pin it to a neighbour, unpin it
R         revoke it; asks first

With a rule, a token, a record or a route
a         add a rule, a token, a record; approve the route
m, e      move the rule; explain who may reach whom
R         remove it, revoke the token; asks first

A narrow screen leaves columns out; details have them all."""
