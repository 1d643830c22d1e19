"""Certificates end in this scene within seconds: nodes renew them, nobody notices, and who was away comes back.

Invariant: no packet is lost to a certificate.
"""

import re
import time
from pathlib import Path

import pytest

from pulse.calls.ca import CaCalls
from pulse.client import connect
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from tests.e2e.mesh import PATIENCE, Node, Pair

LIFE = 20
"""Seconds. The CA's clock and a certificate's count whole ones."""

PINGS = 2800
EVERY = 0.01
"""Seconds between pings: 28 s of them, more than any certificate lives."""


def settle(data_dir: Path) -> None:
    """Tell the CA of that directory how long its certificates live."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data_dir / "config.toml").write_text(f"[ca]\ncert_life = {LIFE}\n", encoding="utf-8")


@pytest.fixture
def brief(lab: Lab) -> Pair:
    """A CA whose certificates live for seconds, and a member."""
    ca, member = Node(lab["a"]), Node(lab["b"])
    settle(ca.host.data)
    ca.start("--ca", "--network", "test")
    member.join(ca, ca.token("--max-uses", "1"))
    member.start()
    member.wait_linked(ca)
    ca.wait_linked(member)
    return Pair(lab, ca, member)


def left(node: Node) -> float:
    with connect(node.host.data) as client:
        return client.certificate().left


def events(node: Node) -> list[str]:
    with connect(node.host.data) as client:
        return [entry.event for entry in CaCalls(client).ca_log(0)]


def test_no_packet_is_lost_to_a_certificate_and_who_was_away_comes_back(brief: Pair) -> None:
    ca, member = brief.ca, brief.member
    member.wait_reaches(ca)
    said = member.host.run(["ping", "-q", "-c", str(PINGS), "-i", str(EVERY), ca.v4], check=False).stdout
    assert f"{PINGS} packets transmitted, {PINGS} received" in said, said
    assert events(ca).count("certificate renewed") >= 2, "both nodes' certificates would have ended"
    for node in (ca, member):
        assert left(node) > 0
        assert re.search(r"certificate (has )?expired", node.log) is None, "links and sessions were made anew before"

    member.stop()
    time.sleep(LIFE + 1)
    member.start()
    wait_until(lambda: "certificate has ended" in member.log, "the member says so", PATIENCE)
    assert left(member) > 0
    member.wait_reaches(ca)
    assert brief.errors == []
    assert "hold" in ca.host.pulse("ca", "log", "--verify").stdout
