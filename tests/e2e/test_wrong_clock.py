"""A clock that is off by a year, at the joiner or at the CA: named on both ends' terms, and no use of a token lost.

The program runs with another wall clock put into `pulse.clock`, the one place it reads it from.
"""

import sys

import pytest

from pulse.errors import Refused
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from tests.e2e.mesh import PATIENCE, PORT, Node

YEAR = 365 * 86_400

SHIFTED = """
import sys
from pulse import clock
true, off = clock.wall, int(sys.argv.pop(1))
clock.wall = lambda: true() + off
from pulse.cli.app import main
main()
"""


def shifted(node: Node, off: int, *arguments: str) -> list[str]:
    """The command line of a pulse on that host whose clock is off by so many seconds."""
    return [sys.executable, "-c", SHIFTED, str(off), *arguments, "--data-dir", str(node.host.data)]


@pytest.mark.parametrize("off", [YEAR, -YEAR], ids=["ahead", "behind"])
def test_a_joiner_whose_clock_is_off_by_a_year_hears_both_clocks_and_keeps_its_token(lab: Lab, off: int) -> None:
    ca, joiner = Node(lab["a"]), Node(lab["b"])
    ca.start("--ca")
    token = ca.token("--max-uses", "1")
    # By standard input: from the arguments it would be taken away by executing pulse anew, with the true clock.
    join = ["join", ca.underlay, "--token", "-"]

    tried = joiner.host.run(shifted(joiner, off, *join), stdin=token, check=False)

    assert tried.code == Refused.exit_code, tried
    assert "this machine's clock says" in tried.stderr
    assert "the CA's says" in tried.stderr
    assert not (joiner.host.data / "identity").exists()
    assert joiner.host.pulse(*join, stdin=token).code == 0


def test_a_ca_whose_clock_leapt_by_a_year_signs_nothing(lab: Lab) -> None:
    ca, joiner = Node(lab["a"]), Node(lab["b"])
    ca.start("--ca")
    token = ca.token("--max-uses", "1")
    ca.stop()
    running = ca.host.popen(shifted(ca, YEAR, "--ca", "--listen", f":{PORT}"))
    wait_until(lambda: "listening" in running.text(), "the CA is up", PATIENCE)

    tried = joiner.tries("join", ca.underlay, "--token", token)

    assert tried.code == Refused.exit_code, tried
    assert "the CA's clock leapt by more than 7 days" in tried.stderr
    running.stop()
    ca.start("--ca")
    assert joiner.tries("join", ca.underlay, "--token", token).code == 0
