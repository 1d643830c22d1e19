"""`pulse`, `pulse start`, `pulse join`: nodes come.

Invariant: whatever a node writes is closed to others (umask 077), and its code is imported only where one runs.
"""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Final

from cyclopts import Parameter

from pulse import settings
from pulse.cli import detached as pipe
from pulse.cli.argv import revealed
from pulse.cli.options import Config, LogLevel, Network, NodeDir, NodeFlags, Token, TokenFile
from pulse.cli.output import print_json, print_pairs, tick
from pulse.cli.values import Json
from pulse.config import NodeConfig
from pulse.core.addresses import is_sealed, split
from pulse.core.types import INVITE_PREFIX, SHORT_ID, spaced
from pulse.errors import ConfigError, NotFound, PulseError, SystemRefused
from pulse.schemas.start import Joined, Started

PRIVATE: Final = 0o077


def run(peers: tuple[str, ...], flags: NodeFlags) -> None:
    """Run a node in the foreground until SIGTERM, SIGINT or `pulse stop`."""
    pipe.hold_hangups()
    config, layers = _settings(flags.given(), peers, flags.config)
    _check_purpose(config)
    os.umask(PRIVATE)
    _live(pipe.Handover(config, layers, logged=False), tick, _show_started)


def start(*peers: str, flags: NodeFlags | None = None) -> None:
    """Start a node in the background.

    It returns once the node is up.

    More: pulse help quickstart, pulse help settings

    Parameters
    ----------
    peers
        Nodes to dial first, host:port; the first start may join by an invite (pls_…).
    """
    flags = flags or NodeFlags()
    config, layers = _settings(flags.given(), peers, flags.config)
    _check_purpose(config)
    os.umask(PRIVATE)
    _show_started(pipe.spawn(config, layers, tick))


def detached(descriptor: int, /) -> None:
    """Run the node that `pulse start` described on standard input, and report to the pipe `descriptor`."""
    pipe.hold_hangups()
    os.umask(PRIVATE)
    report = pipe.Report(descriptor)
    try:
        told = pipe.receive()
        os.chdir("/")
        _live(told, report.step, report.up)
    except PulseError as error:
        report.failed(error)
        raise
    finally:
        report.close()


def join(
    node: Annotated[str | None, Parameter(help="An invite (pls_…), or host:port of any node of the network.")] = None,
    /,
    *,
    token: Token = None,
    token_file: TokenFile = None,
    name: Annotated[str | None, Parameter(help="Name to ask for (this machine's host name).")] = None,
    network: Network = None,
    data_dir: NodeDir = None,
    config: Config = None,
    log_level: LogLevel = None,
    json: Json = False,
) -> None:
    """Make this machine a member of a network, once.

    Start it next: pulse start.

    More: pulse help tokens
    """
    flags: dict[str, object] = {
        "token": token, "token-file": token_file, "network": network, "data-dir": data_dir,
        "log-level": log_level, "name": name,
    }  # fmt: skip
    flags = {flag: value for flag, value in flags.items() if value is not None}
    door = () if node is None else (revealed(node),)
    if door and not door[0].startswith(INVITE_PREFIX):
        flags["join"], door = door[0], ()
    wanted, _ = _settings(flags, door, config)
    _check_door(wanted)
    os.umask(PRIVATE)
    joined = _join(wanted, (lambda _: None) if json else tick)
    if json:
        print_json(joined)
    else:
        print("Start it: pulse start --tun          (see it: pulse status)")


def _settings(
    flags: dict[str, object], peers: tuple[str, ...], file: Path | None
) -> tuple[NodeConfig, settings.Layers]:
    """The merged settings, secrets read, paths absolute: the same wherever the node then runs; and whence they come."""
    if not all(map(str.strip, peers)):
        raise ConfigError("one of the nodes to dial is empty. Write host:port, or leave it out")
    for secret in ("token", "ca-token"):
        if isinstance(typed := flags.get(secret), str):
            flags[secret] = revealed(typed, f"--{secret}")
    if flags.get("token-file") == "-":
        flags["token"] = revealed(str(flags.pop("token-file")), "--token-file")
    layers = settings.layers(flags, tuple(map(revealed, peers)), file)
    merged, problem = layers.at_start()
    if problem:
        print(f"warning: {problem}", file=sys.stderr)
    config = settings.placed(merged)
    return config, layers.lasting(config)


def _check_purpose(config: NodeConfig) -> None:
    """Raise NotFound, with what to do, if there is neither a network to be in nor one to make or join."""
    if config.ca.enabled or _is_member(config):
        return
    if not config.relays and not config.join.invite:
        raise NotFound(
            f"this machine is in no network yet (nothing in {config.data_dir}).\n"
            "Make one:  pulse start --ca --scribe --tun --addr <name or address others reach>:8443\n"
            "Join one:  pulse join pls_…    (the line that `pulse invite` prints on the CA)"
        )
    _check_door(config)


def _check_door(config: NodeConfig) -> None:
    """Raise ConfigError unless it is known where to join and with what."""
    if config.join.invite:
        return
    if not config.relays:
        raise ConfigError("to join takes an invite (pls_…), or host:port of a node and its --token")
    if not config.join.token:
        raise ConfigError(
            f"no token to join through {config.relays[0]} with.\n"
            "Make one on the CA (pulse token create --ttl 1h --max-uses 1) and give it as --token"
        )


def _is_member(config: NodeConfig) -> bool:
    place = config.identity_dir
    # Beside its place is what a crash amid a renewal leaves; the node puts it there.
    for each in (place, place.with_name(place.name + ".old")):
        try:
            os.stat(each)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            # Closed to us: the node says to whom it belongs.
            return True
        return True
    return False


def _live(told: pipe.Handover, step: Callable[[str], None], ready: Callable[[Started], None]) -> None:
    """Join if need be, then run the node to its end, and the next one if that is wanted."""
    import asyncio

    from pulse import logs

    node, config = _node(), told.config
    kept = None
    if told.logged:
        file = config.data_dir / pipe.LOG_NAME
        kept = logs.KeptFile(file, config.node.log_bytes, config.node.log_files, takes_streams=True)
    listener = logs.start(config.node.log_level, config.node.log_format, kept)
    try:
        if not config.ca.enabled and not _is_member(config):
            asyncio.run(node.join(config, step))
        again = asyncio.run(node.run(config, ready, step, told.layers.merged))
        if again:
            merged, problem = told.layers.at_start()
            if problem:
                logging.getLogger(__name__).error("settings from afar not taken", extra={"error": problem})
            told = pipe.Handover(settings.placed(merged), told.layers, told.logged)
    finally:
        listener.stop()
    if again:
        pipe.become(told)


def _join(config: NodeConfig, step: Callable[[str], None]) -> Joined:
    import asyncio

    joined: Joined = asyncio.run(_node().join(config, step))
    return joined


def _node() -> ModuleType:
    try:
        from pulse import node
    except ImportError as error:
        raise SystemRefused(f"this pulse is incomplete: {error}.\nInstall it again; from source: make setup") from error
    return node


def _show_started(started: Started) -> None:
    from pulse import logs

    node = started.node
    keep = f"made now; CA {spaced(node.ca_hash)}, keep {started.data_dir} safe"
    pairs = [
        ("network", f"{node.network:<15}  {keep if started.made else f'CA {spaced(node.ca_hash)}'}"),
        ("node", f"{node.name:<15}  {node.id[:SHORT_ID]}   {node.v4}   {node.v6}"),
        ("listening", f"{started.sockets} {started.listen}, advertised {', '.join(started.advertised) or 'nowhere'}"),
    ]
    if started.tun:
        pairs.append(("tun", started.tun))
    if started.dns:
        pairs.append(("dns", f"names under .pulse at {started.dns}"))
    if started.dns_problem:
        pairs.append(("dns", f"none: {started.dns_problem}"))
    if started.api:
        pairs.append(("api", f"http://{started.api}, with a key: pulse api-key create <name>"))
        if not is_sealed(split(started.api)[0], (node.v4, node.v6)):
            pairs.append(("", f"keys go in clear there: take --scribe-listen {node.v4}:<port>, or a proxy with TLS"))
    if started.api_problem:
        pairs.append(("api", f"none: {started.api_problem}"))
    if started.socks:
        pairs.append(("socks", f"{started.socks}, for SOCKS5 and HTTP CONNECT"))
    if started.metrics:
        pairs.append(("metrics", f"http://{started.metrics}/metrics"))
    print_pairs(pairs)
    if started.invite and not logs.is_journal(os.environ):
        # A journal is read by more people than may join.
        print(f"\nOn the next machine:\n  pulse join {started.invite}\ngood for 1 hour and one machine")
    sys.stdout.flush()
