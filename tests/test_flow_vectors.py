"""What the data plane judges a packet by, read off it by scapy: fragments, ICMP, IPv6 extension headers.

scapy makes the packets and says what is in them; the data plane holds to what it said, in `tests/vectors/flow.json`.
After a wanted change run this once with `PULSE_WRITE_VECTORS=1`, and look at the difference.
"""

import json
import os
from pathlib import Path

import pytest

from tests.scapy_packets import packets, read

FILE = Path(__file__).parent / "vectors" / "flow.json"
ABOUT = "what scapy reads off packets: protocol, ports or ICMP type and code, if they are hidden, what stands before"


def rendered() -> str:
    vectors = [{"name": name, "packet_hex": data.hex(), **read(data)} for name, data in packets()]
    return json.dumps({"about": ABOUT, "vectors": vectors}, indent=2) + "\n"


def test_scapy_reads_the_same_flow_off_each_packet() -> None:
    text = rendered()
    if "PULSE_WRITE_VECTORS" in os.environ:
        FILE.write_text(text, encoding="utf-8")

    assert FILE.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("kind", ["hidden", "extensions", "sport"])
def test_there_are_packets_of_each_kind(kind: str) -> None:
    assert len({read(data)[kind] for _, data in packets()}) > 1
    names = [name for name, _ in packets()]
    assert len(names) == len(set(names)) > 60
