"""Start schemas: what a node says on the pipe is read back as it was, also from a release that says less."""

import msgspec

from pulse.schemas.start import Joined, Started
from tests.api.fake_control import IDENTITY

STARTED = Started(IDENTITY, ":443", ["relay.example.com:443"], "pulse0", True, "/var/lib/pulse", "pls_eyJh")
JOINED = Joined(IDENTITY, 7e6, pinned=True, address="relay.example.com:443", data_dir="/var/lib/pulse")


def test_json_and_back_is_the_same() -> None:
    for said in (STARTED, JOINED):
        assert msgspec.json.decode(msgspec.json.encode(said), type=type(said)) == said


def test_what_an_earlier_release_does_not_say_is_nothing() -> None:
    less = {
        "node": msgspec.to_builtins(IDENTITY),
        "listen": "",
        "advertised": [],
        "tun": "",
        "made": False,
        "data_dir": "",
    }
    assert msgspec.convert(less, Started).socks == ""
