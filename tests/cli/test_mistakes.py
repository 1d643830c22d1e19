"""Wrong command lines are told what would be right."""

import pytest

from pulse.cli.mistakes import check_peer
from pulse.errors import ConfigError
from tests.cli.shell import Shell

COMMANDS = ("start", "stop", "status", "token")


@pytest.mark.parametrize("word", ["relay.example.com:443", "[::1]:443", "10.0.0.1:1", "localhost:443", "pls_abc"])
def test_an_address_and_an_invite_can_be_peers(word: str) -> None:
    check_peer(word, COMMANDS)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("statsu", "Did you mean: pulse status?"),
        ("tokn", "Did you mean: pulse token?"),
        ("xyzzy", "See them: pulse --help"),
        ("grant", "Did you mean: pulse ca grant?"),
        ("roles", "Did you mean: pulse ca roles?"),
        ("restore", "Did you mean: pulse ca restore?"),
        ("log", "Did you mean: pulse ca log?"),
        ("create", "Did you mean: pulse token create or pulse api-key create?"),
        ("status", "it goes first, its flags after it (pulse status --help)"),
    ],
)
def test_a_word_is_no_peer(word: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_peer(word, COMMANDS)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("st", 'no command "st". See them: pulse --help'),
        ("stopp", "Did you mean: pulse stop?"),
        ("start --name x", 'pulse start has no flag "--name". See: pulse start --help'),
        ("--tokne x", 'pulse has no flag "--tokne". Did you mean: --token?'),
        ("--tokne=x", 'pulse has no flag "--tokne". Did you mean: --token?'),
        ("start --data-dri x", 'pulse start has no flag "--data-dri". Did you mean: --data-dir?'),
        ("token create --tll 1h", 'pulse token create has no flag "--tll". Did you mean: --ttl?'),
        ("status --qqq", 'pulse status has no flag "--qqq". See: pulse status --help'),
        ("token crate", 'no command "token crate". Did you mean: pulse token create?'),
        ("ca lgo", 'no command "ca lgo". Did you mean: pulse ca log?'),
        ("status extra", 'pulse status takes no "extra" here. See: pulse status --help'),
        ("backup x", "Did you mean: pulse ca backup?"),
        (
            "remove 1",
            "pulse acl remove or pulse groups remove or pulse dns remove or pulse template remove?",
        ),
        ("ping", "pulse ping needs NODE. See: pulse ping --help"),
        ("name relay", "pulse name needs NAME. See: pulse name --help"),
        ("revoke", "pulse revoke needs NODE. See: pulse revoke --help"),
        ("revoke --node", "--node needs a value. See: pulse revoke --help"),
        ("acl add", "pulse acl add needs --from. See: pulse acl add --help"),
        ("acl add --from web", "pulse acl add needs --to. See: pulse acl add --help"),
        ("acl add --from", "--from needs a value. See: pulse acl add --help"),
        ("acl add --from web --to", "--to needs a value. See: pulse acl add --help"),
        ("unta relay infra", "Did you mean: pulse untag?"),
        ("join a:1 --token", "--token needs a value. See: pulse join --help"),
        ("ping n -c many", 'unable to convert "many" into int'),
        ("start --ca --ca", "--ca is given twice. Give it once"),
        ("--ca ping", '"ping" is a command: it goes first'),
        ("--log-level loud", 'choose from: "debug", "info", "warn", "error"'),
        ("10.0.0.1", 'bootstrap.peers: "10.0.0.1" is no address. Write host:port'),
    ],
)
def test_a_wrong_command_line_is_told_what_would_be_right(shell: Shell, typed: str, said: str) -> None:
    done = shell.pulse(*typed.split())

    assert done.code == 2
    assert done.err.startswith("error: ")
    assert said.lower() in done.err.lower()
    assert "Traceback" not in done.err
