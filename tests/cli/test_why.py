"""`pulse why` against a control socket: the sentence, what each end tried, and what would help."""

import json

import msgspec
import pytest

from pulse.errors import ConfigError, NotFound
from pulse.schemas.paths import Why, WhyRequest
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_the_sentence_comes_first_then_what_each_end_tried(shell: Shell, control: FakeControl) -> None:
    done = shell.node("why", "laptop")

    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "laptop is reached by quic over relay-01, because laptop is behind a symmetric NAT.\n"
        "\n"
        "from db-server   11 probes to 203.0.113.7:41641, 0 answers\n"
        "from laptop      11 probes to 198.51.100.4:443, 1 answer, 2 probes of its own\n"
        "                 192.168.1.7:443: no answer\n"
        "NAT              db-server cone at 198.51.100.4:443 (2 observers) · laptop symmetric (3 observers)\n"
        "next try         in 17 seconds; at once if an address changes\n"
        "what would help  let the router of laptop map a port\n"
    )
    assert control.asked == [WhyRequest("laptop", "", 5.0)]


def test_two_names_are_the_two_ends(shell: Shell, control: FakeControl) -> None:
    shell.node("why", "laptop", "cam-7")

    assert control.asked == [WhyRequest("cam-7", "laptop", 5.0)]


def test_an_end_that_was_not_asked_says_so(shell: Shell, control: FakeControl) -> None:
    silent = msgspec.structs.replace(control.ways.reason.node, asked=False, problem="no answer")
    control.ways.reason = msgspec.structs.replace(control.ways.reason, node=silent)

    assert "from laptop      no account: no answer\n" in shell.node("why", "laptop").out


def test_json_is_the_whole_answer(shell: Shell, control: FakeControl) -> None:
    answer = json.loads(shell.node("why", "laptop", "--json").out)

    assert msgspec.convert(answer, Why) == control.ways.reason


@pytest.mark.usefixtures("control")
def test_nobody_is_not_found(shell: Shell) -> None:
    done = shell.node("why", "nobody")

    assert done.code == NotFound.exit_code
    assert done.err == 'error: no node is called "nobody". See the nodes: pulse status\n'


@pytest.mark.parametrize("timeout", ["0", "11", "-1"])
def test_a_timeout_out_of_range_is_refused(shell: Shell, timeout: str) -> None:
    done = shell.node("why", "laptop", f"--timeout={timeout}")

    assert done.code == ConfigError.exit_code
    assert "up to 10 seconds" in done.err
