"""What is refused in settings that types cannot refuse, each by the name it was written under."""

import pytest

from pulse.checks import check, check_whole
from pulse.config import Bootstrap, Join, Metrics, Node, NodeConfig, Scribe, Tun
from pulse.errors import ConfigError


@pytest.mark.parametrize(
    ("cidr", "reason"),
    [
        ("10.100.0.0", "too small"),
        ("10.100.0.0/30", "too small"),
        ("10.100.0.1/16", "no IPv4 range"),
        ("fd00::/48", "no IPv4 range"),
        ("mesh", "no IPv4 range"),
        ("8.0.0.0/8", "addresses of the Internet"),
        ("0.0.0.0/0", "addresses of the Internet"),
        ("127.0.0.0/8", "addresses of the Internet"),
        ("224.0.0.0/16", "addresses of the Internet"),
    ],
)
def test_a_range_no_mesh_can_have_is_refused(cidr: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        check(NodeConfig(tun=Tun(cidr=cidr)))


@pytest.mark.parametrize("name", ["My Net", "UPPER", "-a", "a" * 64, "a.b", "ä"])
def test_a_name_no_network_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"node\.network_id"):
        check(NodeConfig(node=Node(network_id=name)))


@pytest.mark.parametrize(
    ("config", "path"),
    [
        (NodeConfig(bootstrap=Bootstrap((":443",))), "bootstrap.peers"),
        (NodeConfig(bootstrap=Bootstrap(("a:1", "b"))), "bootstrap.peers"),
        (NodeConfig(join=Join(relay_addr=":443")), "join.relay_addr"),
        (NodeConfig(node=Node(listen="443")), "node.listen"),
        (NodeConfig(node=Node(addr="443")), "node.addr"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(config: NodeConfig, path: str) -> None:
    with pytest.raises(ConfigError, match=path):
        check(config)


@pytest.mark.parametrize("name", ["Db", "a_b", "-a", "cafe", "a" * 64])
def test_a_name_no_node_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r'^node\.name: ".*" cannot name a node'):
        check(NodeConfig(node=Node(name=name)))


@pytest.mark.parametrize(
    ("scribe", "listen"),
    [
        (Scribe(), None),
        (Scribe(listen="127.0.0.1:9000"), None),
        (Scribe(enabled=True), ("127.0.0.1", 8080)),
        (Scribe(enabled=True, listen="off"), None),
        (Scribe(enabled=True, listen=":9000"), ("", 9000)),
        (Scribe(enabled=True, listen="[::1]:9000"), ("::1", 9000)),
    ],
)
def test_the_api_listens_on_loopback_of_a_scribe_unless_said_otherwise(
    scribe: Scribe, listen: tuple[str, int] | None
) -> None:
    config = NodeConfig(scribe=scribe)
    check(config)

    assert config.scribe_listen == listen


@pytest.mark.parametrize("listen", ["8080", "on", "http://localhost:8080", "localhost:0"])
def test_where_nobody_can_listen_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"scribe\.listen"):
        check(NodeConfig(scribe=Scribe(listen=listen)))


@pytest.mark.parametrize("host", ["", "example.com:8080", "https://example.com", "*", "a b"])
def test_a_host_of_the_api_is_a_name_or_an_address(host: str) -> None:
    check(NodeConfig(scribe=Scribe(hosts=("example.com", "192.0.2.1", "::1"))))

    with pytest.raises(ConfigError, match=r"scribe\.hosts"):
        check(NodeConfig(scribe=Scribe(hosts=(host,))))


@pytest.mark.parametrize(
    ("listen", "found"),
    [
        ("", None),
        ("off", None),
        (":9100", ("127.0.0.1", 9100)),
        ("10.100.41.7:9100", ("10.100.41.7", 9100)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_metrics_are_told_on_loopback_unless_said_otherwise(listen: str, found: tuple[str, int] | None) -> None:
    config = NodeConfig(metrics=Metrics(listen=listen))
    check(config)

    assert config.metrics_listen == found


@pytest.mark.parametrize("listen", ["9100", "on", "http://localhost:9100", "localhost:0"])
def test_where_nobody_can_ask_for_metrics_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.listen"):
        check(NodeConfig(metrics=Metrics(listen=listen)))


def test_the_log_takes_a_bounded_part_of_the_disk() -> None:
    check_whole(NodeConfig(Node(log_bytes=200_000_000, log_files=100)))
    with pytest.raises(ConfigError, match="could take 1,000,000,000,000 bytes of the disk; 20,000,000,000 at most"):
        check_whole(NodeConfig(Node(log_bytes=10_000_000_000, log_files=100)))
