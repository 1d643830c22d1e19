"""Settings from four places: what wins, and what is refused, by the name people know it under."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.config import Bootstrap, Join, Node, NodeConfig, Tun
from pulse.errors import ConfigError
from pulse.settings import dumps, load, loads

TOKEN = "k7Qp2vXz9LmN4rTb8WcY1sDf6GhJ3aE5"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pulse.toml"


def loaded(file: Path, text: str) -> NodeConfig:
    """The settings in a file that says `text`, and nowhere else."""
    file.write_text(text)
    return load({}, file=file, environment={})


def test_with_nothing_said_there_are_defaults(tmp_path: Path) -> None:
    config = load({"data-dir": str(tmp_path)}, environment={})

    assert config.listen == ("", 8443)
    assert not config.ca.enabled
    assert not config.tun.enabled
    assert config.tun.name == "pulse0"


def test_the_file_of_the_readme_is_understood(file: Path) -> None:
    config = loaded(
        file,
        """
        [node]
        addr       = "relay.example.com:443"
        listen     = ":443"
        network_id = "prod"
        log_level  = "info"
        [ca]
        enabled    = true
        join_token = "k7Qp2vXz9LmN4rTb8WcY1sDf6GhJ3aE5"
        [scribe]
        enabled = true
        [tun]
        enabled = true
        """,
    )

    assert config.advertised == ("relay.example.com", 443)
    assert config.ca.enabled
    assert config.scribe.enabled
    assert config.tun.enabled
    assert config.ca_token == TOKEN


def test_flags_beat_variables_and_variables_beat_the_file(file: Path) -> None:
    file.write_text("[node]\naddr='file:1'\nlisten=':1'\nlog_level='debug'\n[tun]\nname='file0'")
    variables = {"PULSE_ADDR": "variable:2", "PULSE_LISTEN": ":2"}

    config = load({"addr": "flag:3", "listen": None}, file=file, environment=variables)

    assert config.node.addr == "flag:3"
    assert config.node.listen == ":2"
    assert config.node.log_level == "debug"
    assert config.tun.name == "file0"


@pytest.mark.parametrize(
    ("flags", "variables", "text", "enabled"),
    [
        ({}, {}, "", True),
        ({}, {}, "[portmap]\nenabled = false", False),
        ({}, {"PULSE_PORTMAP": "no"}, "", False),
        ({"portmap": True}, {"PULSE_PORTMAP": "no"}, "", True),
        ({"portmap": False}, {}, "[portmap]\nenabled = true", False),
    ],
)
def test_routers_are_asked_unless_that_is_switched_off(
    file: Path, flags: dict[str, object], variables: dict[str, str], text: str, enabled: bool
) -> None:
    file.write_text(text)

    assert load(flags, file=file, environment=variables).portmap.enabled is enabled


def test_the_file_may_be_named_by_a_variable_or_lie_in_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[tun]\nname='usual0'")
    (tmp_path / "other.toml").write_text("[tun]\nname='other0'")

    assert load({"data-dir": str(tmp_path)}, environment={}).tun.name == "usual0"
    assert load({}, environment={"PULSE_DATA_DIR": str(tmp_path)}).tun.name == "usual0"
    assert load({}, environment={"PULSE_CONFIG": str(tmp_path / "other.toml")}).tun.name == "other0"


def test_beacons_go_out_unless_somebody_says_no(file: Path) -> None:
    assert load({}, environment={}).beacon.enabled
    assert not loaded(file, "[beacon]\nenabled = false").beacon.enabled
    assert not load({}, environment={"PULSE_BEACON": "no"}).beacon.enabled
    assert not load({"beacon": False}, environment={"PULSE_BEACON": "yes"}).beacon.enabled


def test_the_api_of_the_scribe_is_set_like_all_else(file: Path) -> None:
    config = loaded(file, "[scribe]\nenabled = true\nlisten = ':9000'\nhosts = ['pulse.example.com']")
    assert (config.scribe_listen, config.scribe.hosts) == (("", 9000), ("pulse.example.com",))

    variables = {"PULSE_SCRIBE": "1", "PULSE_SCRIBE_LISTEN": "off", "PULSE_SCRIBE_HOSTS": "a.example, 192.0.2.1"}
    config = load({"scribe-listen": "127.0.0.1:9001"}, environment=variables)
    assert (config.scribe_listen, config.scribe.hosts) == (("127.0.0.1", 9001), ("a.example", "192.0.2.1"))

    with pytest.raises(ConfigError, match="--scribe-listen"):
        load({"scribe-listen": "9000"}, environment={})


def test_who_says_only_where_to_listen_has_others_told_that_port(file: Path) -> None:
    assert load({"listen": ":9555"}, environment={}).advertised == ("", 9555)
    assert loaded(file, "[node]\nlisten = '192.0.2.1:9555'").advertised == ("", 9555)
    both = load({"listen": ":9555", "addr": "relay.example.com:443"}, environment={})
    assert both.advertised == ("relay.example.com", 443)


def test_settings_and_secrets_that_anybody_could_write_are_refused(file: Path, tmp_path: Path) -> None:
    file.write_text("[tun]\nenabled = true\n")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match=f"every user of this machine can write it. Close it: chmod o-w {file}"):
        load({}, file=file, environment={})

    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o602)
    with pytest.raises(ConfigError, match=f"join.token_file: {token}: every user"):
        load({"token-file": str(token)}, environment={})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[dsn]\na=1", "unknown section [dsn]"),
        (
            "[settings]\nmesh_cidr='10.0.0.0/8'",
            "[settings] is of a network's config. For such a file: pulse config plan ",
        ),
        ("[nod]\na=1", "unknown section [nod]. Did you mean: node?"),
        ("[node]\nlisen=':1'", "unknown key node.lisen. Did you mean: listen?"),
        ("[control]\nzzz=1", "unknown key control.zzz. Known are: socket"),
        ("node=1", "node is a section. Write [node] above its keys"),
        ("[node]\nlisten=443", "node.listen: expected str, got int"),
        ("[node]\nlog_level='loud'", "node.log_level: invalid enum value 'loud' (debug, info, warn or error)"),
        ("[tun]\nenabled='yes'", "tun.enabled: expected bool, got str"),
        ("[tun]\nqueues=0", "tun.queues: expected int >= 1"),
        ("[tun]\nqueues=true", "tun.queues: expected int, got bool"),
        ("[tun]\nname='a/b'", "tun.name: expected str matching regex"),
        ("[bootstrap]\npeers='a:1'", "bootstrap.peers: expected array, got str"),
        ("[bootstrap]\npeers=[1]", "bootstrap.peers[0]: expected str, got int"),
        ("[socks]\nlisten='1080'", "socks.listen: "),
        ("[socks]\nusr='a'", "unknown key socks.usr. Did you mean: user?"),
        ("[socks]\npassword='a'\npassword_file='b'", "socks.password and "),
        ("[[dns.service]]\nname='a'", "dns.service[0]: object missing required field port"),
        ("[[dns.service]]\nname='a'\nport=0", "dns.service[0].port: expected int >= 1"),
        ("[[dns.service]]\nname='a'\nport=1\nprio=1", "dns.service[0]: object contains unknown field prio"),
        ("[[dns.service]]\nname='No'\nport=1", 'dns.service 1: "No" cannot name a service'),
        ("[dns]\nlisten='here:53'", 'dns.listen: "here" is no IP. Write it like 127.0.0.1:5353'),
        ("[tun]\nfec='often'", "tun.fec: expected bool, got str"),
        ("[nat]\nbirthday='often'", "nat.birthday: expected bool, got str"),
        ("[join]\ntoken='a'\ntoken_file='b'", "join.token and "),
    ],
)
def test_a_mistake_in_the_file_is_told_with_file_and_path(file: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(file, text)

    assert re.match(rf"{re.escape(str(file))}(:\d+)?: {re.escape(said)}", str(refused.value))


def test_a_mistake_in_the_file_is_told_with_its_line(file: Path) -> None:
    for text, line in (
        ("# a\n[node]\nlisen = ':1'\nlisten = ':1'", 3),
        ("[tun]\nenabled = true\n\nqueues = 0", 4),
        ("[node]\naddr = ':1'\n[dsn]\na = 1", 3),
        ("[tun]\nqueues = 2\n[node]\naddr = 'nowhere'", 4),
    ):
        with pytest.raises(ConfigError, match=f"{file}:{line}: "):
            loaded(file, text)


@pytest.mark.parametrize("content", [b"[node", b"a = ", b"\xff\xfe", b"[node]\n[node]"])
def test_what_is_no_toml_is_told_with_the_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(ConfigError, match=f"{file} is no TOML"):
        load({}, file=file, environment={})


def test_a_file_that_is_not_there_is_told(file: Path) -> None:
    with pytest.raises(ConfigError, match=f"there is no file {file}"):
        load({}, file=file, environment={})
    with pytest.raises(ConfigError, match="cannot read"):
        load({}, file=file.parent, environment={})


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PULSE_TUN", "maybe", "PULSE_TUN: 'maybe' is neither yes nor no"),
        ("PULSE_TUN_QUEUES", "many", "PULSE_TUN_QUEUES: 'many' is no number"),
        ("PULSE_PERSIST_INTERVAL", "soon", "PULSE_PERSIST_INTERVAL: 'soon' is no number"),
        ("PULSE_PERSIST_INTERVAL", "0", "PULSE_PERSIST_INTERVAL: expected float > 0.0"),
        ("PULSE_TUN_QUEUES", "99", "PULSE_TUN_QUEUES: expected int <= 16"),
        ("PULSE_LOG_LEVEL", "loud", "PULSE_LOG_LEVEL: invalid enum value 'loud'"),
    ],
)
def test_a_mistake_in_a_variable_is_told_with_its_name(variable: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({}, environment={variable: value})

    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("tun-queues", 99, "--tun-queues: expected int <= 16"),
        ("addr", "443", '--addr: "443" is no address'),
        ("listen", "::1", '--listen: "::1" is no address'),
        ("join", ":443", '--join: ":443" names no host'),
        ("network", "My Net", '--network: "My Net" cannot name a network'),
        ("mesh-cidr", "8.0.0.0/8", "--mesh-cidr: 8.0.0.0/8 would hide"),
        ("log-level", "loud", "--log-level: invalid enum value 'loud' (debug"),
    ],
)
def test_a_mistake_in_a_flag_is_told_with_its_name(flag: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({flag: value}, environment={})

    assert str(refused.value).startswith(said)


def test_a_peer_that_is_no_address_is_told() -> None:
    with pytest.raises(ConfigError, match=r'^bootstrap\.peers: "relay" is no address'):
        load({}, ("relay",), environment={})


def test_an_address_in_the_file_is_told_with_the_file(file: Path) -> None:
    with pytest.raises(ConfigError, match=rf'^{file}:2: node\.addr: "443" is no address'):
        loaded(file, "[node]\naddr='443'")


def test_a_token_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")

    config = load({"token-file": str(file)}, environment={"PULSE_TOKEN": "another"})

    assert config.join == Join(token=TOKEN)


def test_a_token_replaces_the_token_file_of_a_weaker_place(file: Path) -> None:
    file.write_text("[join]\ntoken_file='/nonexistent'")

    assert load({"token": TOKEN}, file=file, environment={}).join.token == TOKEN


def test_a_token_comes_through_a_pipe() -> None:
    reading, writing = os.pipe()
    os.write(writing, TOKEN.encode())
    os.close(writing)

    assert load({"token-file": f"/dev/fd/{reading}"}, environment={}).join.token == TOKEN
    os.close(reading)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"two words", b"\xff\xff"])
def test_a_token_file_holds_one_token(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match=f"token_file: .*{file}"):
        load({"token-file": str(file)}, environment={})


def test_a_token_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot read /nonexistent: No such file"):
        load({"token-file": "/nonexistent"}, environment={})


def test_token_and_token_file_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="--token and --token-file exclude each other"):
        load({"token": TOKEN, "token-file": "/x"}, environment={})


def test_a_weak_token_passes_for_the_core_judges_it() -> None:
    assert load({"token": "abc"}, environment={}).join.token == "abc"


def test_an_invite_is_known_by_its_prefix() -> None:
    assert load({}, ("pls_abc",), environment={}).join.invite == "pls_abc"
    assert load({"token": "pls_abc"}, environment={}).join == Join(invite="pls_abc")
    with pytest.raises(ConfigError, match="2 invites"):
        load({}, ("pls_abc", "pls_def"), environment={})


def test_peers_typed_replace_those_of_the_file(file: Path) -> None:
    file.write_text("[bootstrap]\npeers=['a:1']")

    assert load({}, ("b:2",), file=file, environment={}).bootstrap.peers == ("b:2",)


@given(
    peers=st.lists(st.from_regex(r"[a-z]{1,10}:[1-9][0-9]{0,3}", fullmatch=True)),
    token=st.text(max_size=40),
    queues=st.integers(1, 16),
)
def test_settings_survive_the_way_to_our_own_child(peers: list[str], token: str, queues: int) -> None:
    config = NodeConfig(Node(addr="a:1"), Bootstrap(tuple(peers)), Join(token=token), tun=Tun(True, queues=queues))

    assert loads(dumps(config)) == config


def test_the_tunnel_listener_and_its_token_are_settings(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdefghijklmnopqrstuv\n")
    assert load({}, environment={}).tcp_listen is None
    assert load({"tcp": "off"}, environment={"PULSE_TCP": ":7000"}).tcp_listen is None
    made = load({}, environment={"PULSE_TCP": ":7000", "PULSE_NODE_TCP_TOKEN_FILE": str(secret)})
    assert (made.tcp_listen, made.node.tcp_token) == (("", 7000), "0123456789abcdefghijklmnopqrstuv")
    assert made.node.tcp_token not in repr(made.node)
    with pytest.raises(ConfigError, match=r"^--tcp: "):
        load({"tcp": "x"}, environment={})
    with pytest.raises(ConfigError, match=r"^node\.tcp_token_file: cannot read"):
        load({}, environment={"PULSE_NODE_TCP_TOKEN_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize("listen", ["127.0.0.1:1080", "127.9.9.9:1080", "[::1]:1080", "localhost:1080"])
def test_a_proxy_on_loopback_needs_no_login(listen: str) -> None:
    assert load({"socks": True, "socks-listen": listen}, environment={}).socks.listen == listen


@pytest.mark.parametrize("listen", [":1080", "0.0.0.0:1080", "[::]:1080", "10.100.1.2:1080", "example.com:1080"])
def test_a_proxy_that_other_machines_reach_needs_one(listen: str, file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"socks\.listen: .* open to other machines.*\n.*password_file"):
        load({"socks": True, "socks-listen": listen}, environment={})
    assert load({"socks-listen": listen}, environment={}).socks.enabled is False

    secret = tmp_path / "secret"
    secret.write_text("correct-horse\n")
    file.write_text(f"[socks]\nuser = 'ann'\npassword_file = '{secret}'")
    socks = load({"socks": True, "socks-listen": listen}, file=file, environment={}).socks
    assert (socks.user, socks.password, socks.password_file) == ("ann", "correct-horse", "")
    assert "correct-horse" not in repr(socks)
    shown = load({}, file=file, environment={"PULSE_SOCKS_PASSWORD": "other"}).socks
    assert (shown.password, shown.password_file) == ("other", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[socks]\nuser='ann'", "socks.user and socks.password go together"),
        ("[socks]\npassword='a'", "socks.user and socks.password go together"),
        ("[socks]\nuser='a:b'\npassword='c'", "a user has no colon"),
        ("[socks]\nuser='ann'\npassword='" + "ü" * 200 + "'", "255 bytes at most"),
        ("[socks]\npassword_file='/nonexistent'", "socks.password_file: cannot read /nonexistent"),
    ],
)
def test_half_a_login_is_none(file: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loaded(file, text)


def test_ranges_come_from_flag_and_file_and_what_cannot_be_offered_is_named(tmp_path: Path, file: Path) -> None:
    ranges = tmp_path / "ranges"
    ranges.write_text("192.168.7.0/24  # the office\n\n10.9.0.0/16\n")

    config = loaded(file, f'[exit]\nenabled = true\ncidrs = ["0.0.0.0/0"]\nroutes_file = "{ranges}"\n')
    assert config.exit.cidrs == ("0.0.0.0/0", "192.168.7.0/24", "10.9.0.0/16")
    assert load({"exit-cidrs": "0.0.0.0/0, ::/0"}, environment={}).exit.cidrs == ("0.0.0.0/0", "::/0")

    with pytest.raises(ConfigError, match=r"--exit-cidrs: 169\.254\.0\.0/16 is never reached"):
        load({"exit-cidrs": "169.254.0.0/16"}, environment={})
    ranges.write_text("10.9.0.1/16")
    with pytest.raises(ConfigError, match=r"exit\.routes_file: .* is no range"):
        loaded(file, f'[exit]\nroutes_file = "{ranges}"\n')
    with pytest.raises(ConfigError, match="cannot read"):
        loaded(file, '[exit]\nroutes_file = "/nowhere"\n')


@pytest.mark.parametrize("path", ["join.token_file", "node.tcp_token_file", "socks.password_file", "exit.routes_file"])
def test_a_file_that_can_have_no_such_name_is_told(file: Path, path: str) -> None:
    section, _, key = path.partition(".")
    file.write_text(f'[{section}]\n{key} = "a\\u0000b"\n')
    with pytest.raises(ConfigError, match=re.escape(path)):
        load({}, file=file, environment={})
