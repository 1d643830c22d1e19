"""The flags of a node are its settings."""

from dataclasses import fields
from pathlib import Path

from pulse.cli.options import NodeFlags
from pulse.flags import SETTINGS
from pulse.settings import load


def test_what_was_not_typed_decides_nothing() -> None:
    assert NodeFlags().given() == {}


def test_false_and_empty_were_typed() -> None:
    assert NodeFlags(ca=False, token="").given() == {"ca": False, "token": ""}


def test_every_flag_is_a_setting() -> None:
    flags = {name.replace("_", "-") for name in NodeFlags.__dataclass_fields__} - {"config"}

    assert flags <= set(SETTINGS)
    assert set(SETTINGS) - flags == {"name"}


SAMPLES = {
    "data-dir": "/d", "addr": "a.example.com:1", "listen": ":1", "network": "mynet", "join": "a.example.com:1",
    "dns-listen": "127.0.0.1:1", "socks-listen": "127.0.0.1:1", "metrics-listen": ":1", "tcp": "127.0.0.1:1",
    "token": "k" * 32, "ca-token": "k" * 32, "log-level": "debug", "scribe-listen": "127.0.0.1:1",
    "tun-queues": "3", "exit-cidrs": "10.9.0.0/16", "mesh-cidr": "10.9.0.0/16",
}  # fmt: skip
"""What can be typed for each flag that is no switch."""


def test_every_flag_has_a_variable(tmp_path: Path) -> None:
    token, file = tmp_path / "token", tmp_path / "x.toml"
    token.write_text("k" * 32)
    file.write_text("[node]\nname = 'db'\n")
    nothing = load({}, file=file, environment={})
    assert load({}, environment={"PULSE_CONFIG": str(file)}) == nothing
    for field in fields(NodeFlags):
        flag = field.name.replace("_", "-")
        if flag == "config":
            continue
        text = SAMPLES.get(flag, str(token) if flag == "token-file" else "")
        typed = int(text) if text.isdecimal() else text or (flag not in ("portmap", "beacon", "use-exits"))
        variable = f"PULSE_{field.name.upper()}"
        said = {variable: text or ("yes" if typed else "no")}

        assert load({}, file=file, environment=said) == load({flag: typed}, file=file, environment={}) != nothing, flag
