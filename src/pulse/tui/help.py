"""What the keys of `pulse top` do."""

from typing import Final

HELP: Final = """\
1 … 6        nodes, policy, tokens, certificates, events, traffic
/            show only lines with these words; Escape shows all again
s, S         sort by the next column; turn the order round
d or Enter   details of a line; of a node also why it is reached as it is
:            a view by its name, or any command of pulse (: tag laptop backend)
q            back to the nodes, and from there out

With a node under the cursor
t, u         give it a tag, take one away
n            name it
p, P         pin it to a neighbour, unpin it
R            revoke it; asks first

With a rule or a token under the cursor
a            add a rule, make a token
e            explain who may reach whom
R            remove the rule, revoke the token; asks first"""
