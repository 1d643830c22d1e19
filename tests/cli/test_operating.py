"""`pulse reload`, `pulse restart`, `pulse remote-config` against a control socket: what came of it, in words."""

import json

import pytest

from pulse.errors import ConfigError, Refused
from pulse.schemas.operating import RemoteSettings, RestartRequest
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


@pytest.mark.usefixtures("control")
def test_a_reload_says_what_is_in_force_and_what_waits(shell: Shell) -> None:
    done = shell.node("reload")

    assert (done.code, done.err) == (0, "")
    assert done.out == "in force now: node.log_level\nafter a restart (pulse restart): tun.queues\n"
    assert json.loads(shell.node("reload", "--json").out) == {"changed": ["node.log_level"], "later": ["tun.queues"]}


def test_another_node_is_restarted(shell: Shell, control: FakeControl) -> None:
    assert shell.node("restart", "laptop").out == "laptop restarts: pulse ping laptop\n"
    assert control.asked == [RestartRequest("laptop")]

    refused = shell.node("restart", "cam-7")
    assert refused.code == Refused.exit_code
    assert "[remote] restart = true" in refused.err


def test_settings_of_another_node_are_changed(shell: Shell, control: FakeControl) -> None:
    done = shell.node("remote-config", "--node", "laptop", "node.log_level=debug", "tun.queues=2")

    assert done.out == "in force now: node.log_level, tun.queues\n"
    wanted = {"node.log_level": "debug", "tun.queues": "2"}
    assert control.asked == [RemoteSettings("laptop", wanted)]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["node.log_levle=debug"], "unknown key node.log_levle. Did you mean: node.log_level?"),
        (["node.log_level"], "Write key=value"),
        ([], "nothing to change"),
    ],
)
def test_a_mistake_is_told_before_anybody_is_asked(
    shell: Shell, control: FakeControl, pairs: list[str], said: str
) -> None:
    done = shell.node("remote-config", "--node", "laptop", *pairs)

    assert done.code == ConfigError.exit_code
    assert said in done.err
    assert control.asked == []
