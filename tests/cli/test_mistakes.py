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
        ("", "an empty word is neither a command nor a node"),
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
        ("st", 'no command "st". Did you mean: pulse status?'),
        ("sta", "Did you mean: pulse status?"),
        ("stat", "Did you mean: pulse status?"),
        ("ls", "Did you mean: pulse status?"),
        ("lo", "Did you mean: pulse logs?"),
        ("log", "Did you mean: pulse logs or pulse ca log?"),
        ("tops", "Did you mean: pulse top?"),
        ("sto", 'no command "sto". See them: pulse --help'),
        ("rev", 'no command "rev". See them: pulse --help'),
        ("rest", 'no command "rest". See them: pulse --help'),
        ("bul", 'no command "bul". See them: pulse --help'),
        ("wy", 'no command "wy". See them: pulse --help'),
        ("revok cam-7", "Did you mean: pulse revoke?"),
        ("token rev", 'no command "token rev". pulse token has: create, list, revoke'),
        ("token revok", "Did you mean: pulse token revoke?"),
        ("dns rem", 'no command "dns rem". pulse dns has: list, add, remove'),
        ("start --c", 'pulse start has no flag "--c". See: pulse start --help'),
        ("join pls_a well then", 'pulse join takes no "well" here'),
        ("join pls_a pls_b", "pulse join takes no second invite here. See: pulse join --help"),
        ("status pls_a", "pulse status takes no invite here. See: pulse status --help"),
        ("invite --ttl -1h", '"-1h" is no duration. Write 30s, 15m, 4h, 7d or 1h30m'),
        ("invite --ttl --json", "--ttl needs a value, such as 4h, before --json"),
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
        ("forward --node a --dst x:1", 'pulse forward has no flag "--dst". Did you mean: --dest?'),
        ("forward --dst=x:1", 'pulse forward has no flag "--dst". Did you mean: --dest?'),
        ("ping --cuont 3", 'pulse ping has no flag "--cuont". Did you mean: --count?'),
        ("acl add --zzz", 'pulse acl add has no flag "--zzz". See: pulse acl add --help'),
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
