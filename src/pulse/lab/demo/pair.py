"""The first act: a CA, a node that joins, traffic between the two, and everybody who is refused.

Invariant: each refusal is one that was tried, and failed for the reason it should.
"""

import time
from typing import Final

from pulse.errors import PulseError, Refused
from pulse.lab.demo.stage import PORT, Scene, Step, ping, sees, status
from pulse.lab.host import Host, wait_until
from pulse.lab.transfer import measure

_KNOCKS: Final = 2.0
"""Seconds a stranger keeps dialling: several tries, each refused in milliseconds."""


def _raw_link(scene: Scene) -> tuple[str, str]:
    seen = measure(scene.laptop, scene.relay, str(scene.relay.v4.ip))
    scene.outcome.raw_gbit = round(seen.gbit, 2)
    return f"{seen.gbit:.1f} Gbit/s", "1 GiB over TCP"


def _start_authority(scene: Scene) -> tuple[str, str]:
    words = ["start", "--ca", "--tun", "--network", "demo", "--addr", f"{scene.relay.v4.ip}:{PORT}", "--listen"]
    scene.relay.pulse(*words, f":{PORT}")
    node = status(scene.relay).node
    return f"{node.name} is {node.v4}", "pulse start --ca --tun"


def _refuse_wrong_token(scene: Scene) -> tuple[str, str]:
    wrong = "wrong-token-0123456789-abcdefghijklmnop"
    reason = _refused_join(scene.stranger, scene.relay.ports[1].v4.ip.compressed, wrong)
    scene.outcome.wrong_token_refused = True
    return reason, "pulse join … --token wrong"


def _join(scene: Scene) -> tuple[str, str]:
    scene.token = scene.relay.pulse("token", "create", "--ttl", "1h", "--max-uses", "1").stdout.split()[-1]
    begin = time.monotonic()
    scene.laptop.pulse("join", f"{scene.relay.v4.ip}:{PORT}", "--token", scene.token)
    scene.laptop.pulse("start", "--tun", "--listen", f":{PORT}")
    wait_until(lambda: sees(scene.laptop, "relay") and sees(scene.relay, "laptop"), "both nodes see each other")
    scene.outcome.join_s = round(time.monotonic() - begin, 2)
    return f"linked after {scene.outcome.join_s:.1f} s", "pulse join … --token …; pulse start --tun"


def _show_status(scene: Scene) -> tuple[str, str]:
    ours, theirs = status(scene.relay), status(scene.laptop)
    if not (ours.well and theirs.well):
        raise PulseError(f"not all is well: relay: {ours.sentence} laptop: {theirs.sentence}")
    return theirs.sentence.split(".")[0], "pulse status, on both"


def _ping(scene: Scene) -> tuple[str, str]:
    node = status(scene.relay).node
    for address in (node.v6, node.v4):
        scene.outcome.ping_ms = ping(scene.laptop, address)
    return f"{scene.outcome.ping_ms:.2f} ms", f"ping {node.v4}, and {node.v6}"


def _mesh_transfer(scene: Scene) -> tuple[str, str]:
    seen = measure(scene.laptop, scene.relay, status(scene.relay).node.v4)
    scene.outcome.mesh_gbit = round(seen.gbit, 2)
    scene.outcome.hash_equal = seen.hash_equal
    if not seen.hash_equal:
        raise PulseError(f"what arrived is not what was sent: {seen.sent} and {seen.received}")
    return f"{seen.gbit:.1f} Gbit/s, SHA-256 equal", "1 GiB over TCP between mesh addresses"


def _refuse_reuse(scene: Scene) -> tuple[str, str]:
    reason = _refused_join(scene.stranger, scene.relay.ports[1].v4.ip.compressed, scene.token)
    scene.outcome.token_reuse_refused = True
    return reason, "pulse join … --token … once more"


def _refuse_stranger(scene: Scene) -> tuple[str, str]:
    """A node with a certificate of its own CA dials ours and must never be seen as a peer, by either."""
    door = f"{scene.relay.ports[1].v4.ip}:{PORT}"
    scene.stranger.pulse("start", "--ca", "--network", "demo", "--listen", f":{PORT}", door)
    deadline = time.monotonic() + _KNOCKS
    while time.monotonic() < deadline:
        if len(status(scene.relay).peers) != 1 or any(peer.reached for peer in status(scene.stranger).peers):
            raise Refused("a stranger got a link")
        time.sleep(0.1)
    reason = status(scene.stranger).sentence.partition(f"{door} is not reached: ")[2].partition(" (")[0]
    if "trusted CA" not in reason:
        raise PulseError(f"the stranger has no link, but not because of its CA: {status(scene.stranger).sentence}")
    scene.outcome.stranger_refused = True
    return reason.partition(": ")[0], f"pulse start --ca {door}, with a CA of its own"


def _refused_join(host: Host, address: str, token: str) -> str:
    """Try to join in vain; returns the reason in the words of the refusal. Raises Refused if it went through."""
    output = host.pulse("join", f"{address}:{PORT}", "--token", token, check=False)
    if output.code == 0:
        raise Refused(f"{host.name} joined with a token that is not good")
    if output.code != Refused.exit_code:
        raise PulseError(f"the join on {host.name} failed for another reason:\n{output.stderr}")
    return output.stderr.removeprefix("error: ").splitlines()[0].partition(":")[0].rstrip(".")


STEPS: Final = (
    Step("the bare cable's speed", _raw_link),
    Step("a first node, which is the CA", _start_authority),
    Step("a wrong token is refused", _refuse_wrong_token),
    Step("a second node joins with a token for one", _join),
    Step("both see each other", _show_status),
    Step("ping over mesh addresses", _ping),
    Step("1 GiB over the mesh, every byte checked", _mesh_transfer),
    Step("the used token is refused", _refuse_reuse),
    Step("a stranger with a CA of its own is refused", _refuse_stranger),
)
