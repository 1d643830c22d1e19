"""pulse beside what users would pick instead, in one lab and in turns: `bench/peers.sh` builds them and runs this.

Invariant: all have the same hosts, cables, TCP and cores, and take turns in every round; one that is not there is left
out. Over a relay only those are measured that relay by themselves.
"""

import argparse
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import RELAY
from rig import (
    WARM_UP,
    admit,
    cpu_seconds,
    found,
    gbit,
    iperf_server,
    main,
    median,
    ping,
    processor_times,
    resident,
    row,
    status,
    stolen,
    transfer,
)

NEBULA_PORT = 4242
WIREGUARD_PORT = 51820
SOCKETS = Path("/var/run/wireguard")
PATIENCE = 30.0


@dataclass(frozen=True)
class System:
    """One of them, up: where left reaches the relay host and, over it, right; and the processes that do it."""

    name: str
    direct: str
    relayed: str
    pids: tuple[int, ...]


class Turn(msgspec.Struct):
    """One system in one round; Gbit/s, CPU seconds of the daemons a Gbit."""

    system: str
    direct_gbit: float
    relay_gbit: float | None
    cpu_s_per_gbit: float


class Row(msgspec.Struct):
    """Medians of one system."""

    system: str
    direct_gbit: float
    of_raw: float
    relay_gbit: float | None
    rtt_idle_ms: float
    cpu_s_per_gbit: float
    rss_mb: float


class Result(msgspec.Struct):
    """The table, and all values it comes from."""

    systems: list[Row]
    turns: list[Turn]
    steal_percent: float


def measure(options: argparse.Namespace) -> Result:
    """Bring all of them up in one lab and let them take turns."""
    before = processor_times()
    with Lab(RELAY) as lab, ExitStack() as stack:
        left, relay, right = lab["left"], lab["relay"], lab["right"]
        systems = [System("raw", str(relay.v4.ip), "", ()), bring_up_pulse(lab)]
        if (options.bin / "wireguard").exists():
            systems.append(stack.enter_context(wireguard(lab, options.bin)))
        if (options.bin / "nebula").exists() and (options.bin / "nebula-cert").exists():
            systems.append(nebula(lab, options.bin))
        idle = {each.name: ping(left, each.direct) for each in systems}
        with iperf_server(relay), iperf_server(right):
            turns = [turn(left, each, options.seconds) for _ in range(options.rounds) for each in systems]
        memory = {each.name: max(map(resident, each.pids), default=0) / 1e6 for each in systems}
    rows = [summed(each.name, turns, idle[each.name], memory[each.name]) for each in systems]
    return Result(rows, turns, stolen(before, processor_times()))


def turn(left: Host, system: System, seconds: float) -> Turn:
    """One transfer to the neighbour, and one over it."""
    before = sum(map(cpu_seconds, system.pids))
    direct = gbit(transfer(left, system.direct, seconds))
    spent = sum(map(cpu_seconds, system.pids)) - before
    relayed = gbit(transfer(left, system.relayed, seconds)) if system.relayed else None
    return Turn(system.name, direct, relayed, round(spent / (direct * (seconds + WARM_UP)), 3))


def summed(name: str, turns: list[Turn], idle: float, memory: float) -> Row:
    """The row of one system."""
    own = [each for each in turns if each.system == name]
    raw = [each.direct_gbit for each in turns if each.system == "raw"]
    relayed = [each.relay_gbit for each in own if each.relay_gbit is not None]
    return Row(
        system=name,
        direct_gbit=median([each.direct_gbit for each in own], 2),
        of_raw=median([each.direct_gbit / bare for each, bare in zip(own, raw, strict=True)]),
        relay_gbit=median(relayed, 2) if relayed else None,
        rtt_idle_ms=idle,
        cpu_s_per_gbit=median([each.cpu_s_per_gbit for each in own]),
        rss_mb=round(memory, 1),
    )


def bring_up_pulse(lab: Lab) -> System:
    """This pulse on all three hosts."""
    left, relay, right = lab["left"], lab["relay"], lab["right"]
    found(relay)
    for host in (left, right):
        admit(host, relay)
    wait_until(lambda: (seen := row(left, "right")) is not None and seen.link != "-", "left has a path to right")
    pids = tuple(host.pulse_pid for host in lab.hosts.values())
    return System("pulse", status(relay).node.v4, status(right).node.v4, pids)


@contextmanager
def wireguard(lab: Lab, programs: Path) -> Iterator[System]:
    """wireguard-go on left and the relay host; its control sockets are not the lab's, so they are removed here."""
    keys = [X25519PrivateKey.generate() for _ in range(2)]
    ends = [(lab["left"], "10.9.0.2"), (lab["relay"], "10.9.0.1")]
    names = [f"wg{lab.name.replace('-', '')[:10]}{place}" for place in range(2)]
    running = []
    try:
        for place, (host, address) in enumerate(ends):
            name, (other, target) = names[place], ends[1 - place]
            running.append(host.popen([str(programs / "wireguard"), "-f", name]))
            wait_until((SOCKETS / f"{name}.sock").exists, "wireguard-go listens", PATIENCE)
            _configure(name, keys[place], keys[1 - place], f"{host.way_to(other)}:{WIREGUARD_PORT}", target)
            host.run(["ip", "address", "add", f"{address}/24", "dev", name])
            host.run(["ip", "link", "set", name, "mtu", "1420", "up"])
        yield System("wireguard-go", ends[1][1], "", tuple(each.process.pid for each in running))
    finally:
        for name in names:
            (SOCKETS / f"{name}.sock").unlink(missing_ok=True)


def _configure(name: str, ours: X25519PrivateKey, theirs: X25519PrivateKey, endpoint: str, target: str) -> None:
    """Tell it over its socket what `wg set` would (wireguard.com/xplatform)."""
    lines = [
        "set=1", f"private_key={ours.private_bytes_raw().hex()}", f"listen_port={WIREGUARD_PORT}",
        f"public_key={theirs.public_key().public_bytes_raw().hex()}", f"endpoint={endpoint}", f"allowed_ip={target}/32",
    ]  # fmt: skip
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(PATIENCE)
        control.connect(str(SOCKETS / f"{name}.sock"))
        control.sendall(("\n".join(lines) + "\n\n").encode())
        answer = control.recv(1000)
    if answer.strip() != b"errno=0":
        raise RuntimeError(f"wireguard-go refused its settings: {answer!r}")


def nebula(lab: Lab, programs: Path) -> System:
    """Nebula on all three hosts; the relay host is its lighthouse and relay."""
    home = lab["relay"].directory / "nebula"
    home.mkdir()
    certify = [str(programs / "nebula-cert")]
    lab["relay"].run([*certify, "ca", "-name", "bench", "-out-crt", f"{home}/ca.crt", "-out-key", f"{home}/ca.key"])
    addresses = {"relay": "10.8.0.1", "left": "10.8.0.2", "right": "10.8.0.3"}
    pids = []
    for name, address in addresses.items():
        lab[name].run([
            *certify, "sign", "-name", name, "-ip", f"{address}/24", "-ca-crt", f"{home}/ca.crt",
            "-ca-key", f"{home}/ca.key", "-out-crt", f"{home}/{name}.crt", "-out-key", f"{home}/{name}.key",
        ])  # fmt: skip
        config = home / f"{name}.yml"
        config.write_text(json.dumps(_settings(lab, name, home, addresses["relay"])))  # JSON is YAML
        running = lab[name].popen([str(programs / "nebula"), "-config", str(config)])
        pids.append(running.process.pid)
    left = lab["left"]
    for target in ("relay", "right"):
        wait_until(partial(answers, left, addresses[target]), f"Nebula reaches {target}", PATIENCE)
    return System("nebula", addresses["relay"], addresses["right"], tuple(pids))


def answers(host: Host, address: str) -> bool:
    """True if a ping is answered."""
    time.sleep(0.2)
    return host.run(["ping", "-c", "1", "-W", "1", address], check=False).code == 0


def _settings(lab: Lab, name: str, home: Path, lighthouse: str) -> dict[str, object]:
    is_relay = name == "relay"
    anything = [{"port": "any", "proto": "any", "host": "any"}]
    return {
        "pki": {"ca": f"{home}/ca.crt", "cert": f"{home}/{name}.crt", "key": f"{home}/{name}.key"},
        "static_host_map": {} if is_relay else {lighthouse: [f"{lab[name].way_to(lab['relay'])}:{NEBULA_PORT}"]},
        "lighthouse": {"am_lighthouse": is_relay, "hosts": [] if is_relay else [lighthouse]},
        "listen": {"port": NEBULA_PORT},
        "relay": {"am_relay": is_relay, "use_relays": True, "relays": [] if is_relay else [lighthouse]},
        "tun": {"dev": "nebula0"},
        "firewall": {"outbound": anything, "inbound": anything},
    }


def table(result: Result) -> str:
    """One line a system."""
    head = f"{'':<14} {'Gbit/s':>7} {'of raw':>7} {'relay':>7} {'RTT ms':>7} {'CPU-s/G':>8} {'RSS MB':>7}"
    lines = [
        f"{each.system:<14} {each.direct_gbit:>7.2f} {each.of_raw:>7.3f} {_or_dash(each.relay_gbit):>7} "
        f"{each.rtt_idle_ms:>7.3f} {each.cpu_s_per_gbit:>8.3f} {each.rss_mb:>7.1f}"
        for each in result.systems
    ]
    return "\n".join([head, *lines, f"stolen {result.steal_percent:.1f} %"])


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, required=True, help="directory with wireguard, nebula and nebula-cert")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one transfer")
    main(parser, measure, table)
