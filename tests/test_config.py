"""What follows from the settings, and what is refused that types cannot refuse."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from pulse.config import (
    SERVICE_DATA_DIR,
    SERVICE_SOCKET,
    Bootstrap,
    Ca,
    Control,
    Join,
    Node,
    NodeConfig,
    Scribe,
    Tun,
    absolute,
    default_data_dir,
    split,
)
from pulse.errors import ConfigError


def test_no_secret_shows() -> None:
    config = NodeConfig(join=Join(token="hunter2", invite="pls_hunter2"), ca=Ca(join_token="hunter2"))

    for shown in (repr(config), str(config), f"{config.join!r}", f"{config.ca}", str([config.join])):
        assert "hunter2" not in shown


def test_what_is_no_secret_does_show() -> None:
    assert "relay:443" in repr(Join(relay_addr="relay:443"))
    assert "token=''" in repr(Join())


@pytest.mark.parametrize(
    ("node", "listen"),
    [
        (Node(), ("", 8443)),
        (Node(addr="relay.example.com:443"), ("", 443)),
        (Node(addr="127.0.0.1:443"), ("127.0.0.1", 443)),
        (Node(addr="[::1]:443"), ("::1", 443)),
        (Node(addr="relay.example.com:443", listen=":8443"), ("", 8443)),
        (Node(addr=":443", listen="10.0.0.1:444"), ("10.0.0.1", 444)),
    ],
)
def test_listen_follows_from_addr(node: Node, listen: tuple[str, int]) -> None:
    assert NodeConfig(node=node).listen == listen


def test_a_node_without_a_host_advertises_only_its_port() -> None:
    assert NodeConfig().advertised == ("", 8443)
    assert NodeConfig(node=Node(addr="relay.example.com:443")).advertised == ("relay.example.com", 443)


def test_a_persons_state_is_in_their_home_and_roots_with_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert default_data_dir() == Path("/home/ada/.pulse")
    assert NodeConfig().socket == Path("/home/ada/.pulse/pulse.sock")

    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_data_dir() == SERVICE_DATA_DIR
    assert NodeConfig().socket == SERVICE_SOCKET


def test_state_lies_together_in_the_data_directory() -> None:
    config = NodeConfig(node=Node(data_dir="/srv/a/../b"))

    assert config.data_dir == Path("/srv/b")
    assert config.identity_dir == Path("/srv/b/identity")
    assert config.socket == Path("/srv/b/pulse.sock")
    assert NodeConfig(control=Control("/run/x.sock")).socket == Path("/run/x.sock")


def test_a_path_is_absolute_wherever_the_daemon_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.chdir(tmp_path)

    assert absolute("~/x") == Path("/home/ada/x")
    assert absolute("x") == tmp_path / "x"


def test_the_relay_comes_first_and_nobody_twice() -> None:
    config = NodeConfig(join=Join(relay_addr="a:1"), bootstrap=Bootstrap(("b:1", "a:1")))

    assert config.relays == ("a:1", "b:1")
    assert NodeConfig(bootstrap=Bootstrap(("b:1",))).relays == ("b:1",)
    assert NodeConfig().relays == ()


def test_the_ca_takes_its_own_token_or_the_common_one() -> None:
    assert NodeConfig(join=Join(token="common")).ca_token == "common"
    assert NodeConfig(join=Join(token="common"), ca=Ca(join_token="own")).ca_token == "own"


@pytest.mark.parametrize(
    ("listen", "where"),
    [
        ("0.0.0.0:8080", "0.0.0.0:8080"),
        (":8080", "0.0.0.0:8080"),
        ("[::]:8080", "[::]:8080"),
        ("192.0.2.7:8080", "192.0.2.7:8080"),
        ("relay.example.com:8080", "relay.example.com:8080"),
        ("10.100.41.8:8080", "10.100.41.8:8080"),
        ("10.100.41.7:8080", ""),
        ("[fd7a:0:0::33]:8080", ""),
        ("127.0.0.9:8080", ""),
        ("[::1]:8080", ""),
        ("localhost:8080", ""),
        ("off", ""),
        ("", ""),
    ],
)
def test_keys_go_in_clear_wherever_it_is_neither_loopback_nor_a_mesh_address_of_ours(listen: str, where: str) -> None:
    config = NodeConfig(scribe=Scribe(enabled=True, listen=listen))
    assert config.in_clear(("10.100.41.7", "fd7a::33")) == ({"--scribe-listen": where} if where else {})


def test_the_range_of_the_mesh_is_none_unless_asked_for() -> None:
    assert NodeConfig().mesh_range is None
    assert NodeConfig(tun=Tun(cidr="10.9.0.0/16")).mesh_range == IPv4Network("10.9.0.0/16")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("relay.example.com:443", ("relay.example.com", 443)),
        ("1.2.3.4:1", ("1.2.3.4", 1)),
        (":65535", ("", 65535)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
    ],
)
def test_an_address_has_two_parts(text: str, parts: tuple[str, int]) -> None:
    assert split(text, "node.addr") == parts


@pytest.mark.parametrize(
    "text",
    ["", "relay", "relay:", "relay:0", "relay:65536", "relay:x", "relay:-1", "relay:٣", "::1", "2001:db8::1:443",
     "[::1]", "[::1", "[x]:443", "a b:443", "http://a:443", "a/b:443", "a\n:443"],
)  # fmt: skip
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^node\.addr: ") as refused:
        split(text, "node.addr")

    assert "Write host:port" in str(refused.value)
