"""Judges settings by what types cannot tell: each by itself, and what several come to together.

Invariant: an error names the setting as the person who wrote it knows it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from pulse.config import CHANGED_FROM_AFAR, LOGIN_LIMIT, LOGS_LIMIT, OFF, DnsService, NodeConfig, split
from pulse.core import addresses
from pulse.core.likeness import nearest
from pulse.core.network.ranges import NODE_LIMIT, mesh_range, read_range
from pulse.core.types import MOST_SERVICES, is_domain, is_network_name, is_service_name, may_name_node
from pulse.errors import ConfigError, Refused


def check(config: NodeConfig, called: Callable[[str], str] = str) -> None:
    """Judge what types cannot: addresses, the network's name and the range.

    `called` gives a TOML path the name people know it under. Raises ConfigError.
    """
    split(config.node.addr, called("node.addr"))
    if config.node.listen:
        split(config.node.listen, called("node.listen"))
    _check_listeners(config, called)
    for host in config.scribe.hosts:
        if not (addresses.is_ip(host) or is_domain(host)):
            raise ConfigError(f'{called("scribe.hosts")}: "{host}" is no host. Write a name like example.com, or an IP')
    for path, address in (("join.relay_addr", config.join.relay_addr), *_peers(config)):
        if address and not split(address, called(path))[0]:
            raise ConfigError(f'{called(path)}: "{address}" names no host. Write host:port')
    if config.bootstrap.dns_domain and not is_domain(config.bootstrap.dns_domain):
        raise ConfigError(
            f'{called("bootstrap.dns_domain")}: "{config.bootstrap.dns_domain}" is no domain. Write it like example.com'
        )
    if config.node.network_id and not is_network_name(config.node.network_id):
        raise ConfigError(
            f'{called("node.network_id")}: "{config.node.network_id}" cannot name a network: '
            'lower case letters, digits and "-" inside, at most 63'
        )
    if config.node.name and not may_name_node(config.node.name):
        raise ConfigError(
            f'node.name: "{config.node.name}" cannot name a node: a DNS label in lower case that reads as no node id'
        )
    if config.tun.cidr:
        mesh_range(config.tun.cidr, called("tun.cidr"))
    if config.dns.listen:
        host, _ = split(config.dns.listen, called("dns.listen"))
        if host and not addresses.is_ip(host):
            raise ConfigError(f'{called("dns.listen")}: "{host}" is no IP. Write it like 127.0.0.1:5353')
    _check_services(config.dns.service, called("dns.service"))
    _check_allowed(config.remote.config, called("remote.config"))
    check_offers(config.exit.cidrs, called("exit.cidrs"))


def _check_listeners(config: NodeConfig, called: Callable[[str], str]) -> None:
    listening = (
        ("node.tcp_listen", config.node.tcp_listen),
        ("scribe.listen", config.scribe.listen),
        ("metrics.listen", config.metrics.listen),
    )
    for path, address in listening:
        if address not in ("", OFF):
            split(address, called(path))
    split(config.socks.listen, called("socks.listen"))


def _check_services(services: Sequence[DnsService], path: str) -> None:
    if len(services) > MOST_SERVICES:
        raise ConfigError(f"{path}: these are {len(services)} services; a node announces {MOST_SERVICES} at most")
    for number, each in enumerate(services, 1):
        if not is_service_name(each.name):
            raise ConfigError(
                f'{path} {number}: "{each.name}" cannot name a service: lower case letters, digits and inner -, '
                "15 at most, as in postgres"
            )
        if (each.name, each.port) in {(other.name, other.port) for other in services[: number - 1]}:
            raise ConfigError(f"{path} {number}: {each.name} at port {each.port} is there twice")


def check_offers(cidrs: Sequence[str], called: str) -> None:
    """Raise ConfigError for what no node can offer, or too much of it."""
    for cidr in cidrs:
        try:
            read_range(cidr)
        except Refused as error:
            raise ConfigError(f"{called}: {error}") from error
    if len(cidrs) > NODE_LIMIT:
        raise ConfigError(f"{called}: these are {len(cidrs)} ranges; a node offers {NODE_LIMIT} at most")


def check_whole(config: NodeConfig) -> None:
    """Judge what several settings come to together, from whatever places they are. Raises ConfigError."""
    socks = config.socks
    if bool(socks.user) != bool(socks.password):
        raise ConfigError("socks.user and socks.password go together. Set both (password_file will do), or neither")
    if max(len(socks.user.encode()), len(socks.password.encode())) > LOGIN_LIMIT or ":" in socks.user:
        raise ConfigError(f"socks.user and socks.password have {LOGIN_LIMIT} bytes at most, and a user has no colon")
    kept = config.node.log_bytes * config.node.log_files
    if kept > LOGS_LIMIT:
        raise ConfigError(
            f"node.log_bytes and node.log_files: the log could take {kept:,} bytes of the disk; {LOGS_LIMIT:,} at most"
        )
    host, _ = config.socks_listen
    if socks.enabled and not socks.user and not addresses.is_loopback(host):
        raise ConfigError(
            f"socks.listen: {socks.listen} is open to other machines, so programs have to log in there.\n"
            "Set [socks] user and password_file, or listen on loopback: --socks-listen 127.0.0.1:1080"
        )


def _check_allowed(paths: Sequence[str], called: str) -> None:
    for path in paths:
        if path not in CHANGED_FROM_AFAR:
            raise ConfigError(
                f'{called}: "{path}" is no setting that can be changed from afar{near(path, CHANGED_FROM_AFAR)}'
            )


def near(word: str, known: Iterable[str]) -> str:
    """The hint that ends an error about a word nobody knows."""
    known = [*known]
    found = nearest(word, known)
    return f". Did you mean: {found}?" if found else f". Known are: {', '.join(known)}"


def _peers(config: NodeConfig) -> Iterator[tuple[str, str]]:
    return (("bootstrap.peers", peer) for peer in config.bootstrap.peers)
