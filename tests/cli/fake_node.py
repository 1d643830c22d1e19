"""Stands in for `pulse.node`: answers on a real control socket, and keeps what it was told in `seen.json`."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import closing

from pulse import settings
from pulse.api.app import build
from pulse.api.server import ApiService, ControlSocket
from pulse.config import NodeConfig
from pulse.errors import Refused, SystemRefused
from pulse.schemas.node import Stopping
from pulse.schemas.start import Joined, Started
from tests.api.fake_control import IDENTITY, WEAK, FakeControl, FakeNode

NO_TUN = "cannot create pulse0: this user lacks CAP_NET_ADMIN.\nRun it with sudo, or without --tun"

STAYS = "this machine still forwards, for others do by now (table ip nat, chain POST)."

TAKEN = (
    "the scribe's API cannot listen on 127.0.0.1:8080: another program has that port. "
    "Or choose another: --scribe-listen"
)


class StoppingNode(FakeNode):
    """Stops the process when asked to."""

    async def stop(self) -> Stopping:
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        return Stopping(os.getpid(), STAYS if os.environ["FAKE_NODE"] == "others forward" else "")


async def run(config: NodeConfig, ready: Callable[[Started], None], *_: object) -> None:
    match os.environ["FAKE_NODE"]:
        case "refuse":
            raise SystemRefused(NO_TUN)
        case "crash":
            os.abort()
        case "bug":
            raise ZeroDivisionError("a bug")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    config.data_dir.mkdir(mode=0o700, exist_ok=True)
    (config.data_dir / "seen.json").write_bytes(settings.dumps(config))
    with closing(ControlSocket(config.socket)) as socket:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(ApiService(build(FakeControl(node=StoppingNode)), socket).run())
            ready(
                Started(
                    IDENTITY, "0.0.0.0:443", ["relay.example.com:443"], "", True, str(config.data_dir), "pls_eyJhQ",
                    socks=config.socks.listen if config.socks.enabled else "",
                    api_problem=TAKEN if os.environ["FAKE_NODE"] == "port taken" else "",
                    api=config.scribe.listen,
                    metrics=config.metrics.listen,
                )
            )  # fmt: skip
            await stopped.wait()
            serving.cancel()


async def join(config: NodeConfig, progress: Callable[[str], None]) -> Joined:
    if len(config.join.token) < 32 and not config.join.invite:
        raise Refused(WEAK)
    progress("reached relay.example.com:443 (quic, 23 ms)")
    progress("CA a91f 22c0 77e4 is the one in the invite")
    config.identity_dir.mkdir(mode=0o700, parents=True)
    (config.data_dir / "joined.json").write_bytes(settings.dumps(config))
    return Joined(IDENTITY, 7e6, pinned=True, address="relay.example.com:443", data_dir=str(config.data_dir))
