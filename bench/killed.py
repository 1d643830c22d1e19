"""How long programs wait to hear that the node at the other end was killed: `bench/killed.py --json`.

Two nodes on one cable. With kill -9 one ends; the times count from there. Invariant: everything asks the node that is
left as a program would, by real commands and sockets.
"""

import argparse
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import msgspec

from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.mesh import join, power_off
from pulse.lab.namespaces import inside
from pulse.lab.topologies import star
from rig import PORT as NODE
from rig import found, main, median, processor_times, stolen, wait_paths

PORT, ECHO = 7070, 7071
PATIENCE = 200.0
ECHOING = f"""
import socket, threading
listener = socket.create_server(("127.0.0.1", {ECHO}))
def echo(caller):
    while data := caller.recv(65536):
        caller.sendall(data)
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
"""


class Result(msgspec.Struct):
    """Seconds from the kill until it is heard, medians."""

    rounds: int
    stream_in_use_s: float
    """By a forward, over which a few bytes go and come back each 50 ms."""
    stream_at_rest_s: float
    """By another one, over which nothing goes."""
    new_connect_s: float
    """By a `pulse connect` begun right after the kill, until it ends with an error."""
    new_socks_s: float
    """By a SOCKS client that asks right after the kill."""
    steal_percent: float


def measure(options: argparse.Namespace) -> Result:
    """Kill the far node so often, and have it back."""
    before = processor_times()
    with Lab(star(2)) as lab:
        # The near one joined, so that it dials the far one.
        far, near = [*lab.hosts.values()]
        found(far, *_told(far))
        join(near, far)
        near.pulse("start", "--listen", f":{NODE}", "--socks")
        far.popen([sys.executable, "-c", ECHOING])
        near.popen(near.pulse_command("forward", "--node", far.name, "--dest", f":{ECHO}", "--local", f":{PORT}"))
        rounds = [_killed(near, far) for _ in range(options.rounds)]
    used, resting, connect, socks = (median([each[place] for each in rounds]) for place in range(4))
    return Result(options.rounds, used, resting, connect, socks, stolen(before, processor_times()))


def _killed(near: Host, far: Host) -> list[float]:
    wait_paths(near, far.name)
    used, resting = _called(near), _called(near)
    time.sleep(8.0)
    with closing(used), closing(resting), ThreadPoolExecutor() as pool:
        running = [pool.submit(_timed, lambda: _use(used))]
        time.sleep(1.0)
        power_off(far)
        began = time.monotonic()
        others = (lambda: _rest(resting), lambda: _connects(near, far), lambda: _asks(near, far))
        running += [pool.submit(_timed, each) for each in others]
        ends = [each.result() - began for each in running]
    far.pulse("start", "--tun", "--listen", f":{NODE}", *_told(far))
    return ends


def _told(far: Host) -> tuple[str, ...]:
    return "--scribe", "--addr", f"{far.v4.ip}:{NODE}"


def _timed(act: Callable[[], object]) -> float:
    """When it was over."""
    act()
    return time.monotonic()


def _called(near: Host) -> socket.socket:
    """A connection over the forward that has been through to the other end and back."""
    made: list[socket.socket] = []

    def led() -> bool:
        with inside(near.namespace):
            client = socket.socket()
        client.settimeout(PATIENCE)
        with suppress(OSError):
            client.connect(("127.0.0.1", PORT))
            client.sendall(b"x")
            if client.recv(1):
                made.append(client)
                return True
        client.close()
        return False

    wait_until(led, "the forward leads there")
    return made[0]


def _use(client: socket.socket) -> None:
    try:
        while True:
            client.sendall(b"some bytes")
            if not client.recv(64):
                return
            time.sleep(0.05)
    except OSError:
        return


def _rest(client: socket.socket) -> None:
    try:
        client.recv(1)
    except OSError:
        return


def _connects(near: Host, far: Host) -> None:
    near.pulse("connect", "--node", far.name, "--dest", f":{ECHO}", check=False)


def _asks(near: Host, far: Host) -> None:
    with inside(near.namespace):
        client = socket.create_connection(("127.0.0.1", 1080), PATIENCE)
    with closing(client):
        name = f"{far.name}.pulse".encode()
        client.sendall(b"\x05\x01\x00" + b"\x05\x01\x00\x03" + bytes([len(name)]) + name + ECHO.to_bytes(2, "big"))
        while client.recv(64):
            pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    main(parser, measure)
