"""Settings from afar: kept in a file of their own, of which only what is allowed counts."""

from pathlib import Path

import pytest

from pulse import remote
from pulse.config import CHANGED_FROM_AFAR, Node, NodeConfig, Remote
from pulse.errors import ConfigError
from pulse.settings import layers, load


def config(data_dir: Path, *allowed: str) -> NodeConfig:
    return NodeConfig(Node(data_dir=str(data_dir)), remote=Remote(config=allowed))


def keep(data_dir: Path) -> None:
    kept = remote.laid(remote.laid({}, "node.log_level", "debug"), "tun.queues", 2)
    remote.place(data_dir).write_bytes(remote.written(kept))


def test_only_what_is_allowed_counts_and_to_forbid_it_undoes_it(tmp_path: Path) -> None:
    keep(tmp_path)

    assert remote.read(config(tmp_path)) == {}
    assert remote.read(config(tmp_path, "node.log_level")) == {"node": {"log_level": "debug"}}
    assert remote.read(config(tmp_path, "tun.queues", "nat.birthday")) == {"tun": {"queues": 2}}


def test_it_lies_over_the_file_and_under_what_was_typed(tmp_path: Path) -> None:
    keep(tmp_path)
    (tmp_path / "config.toml").write_text('[node]\nlog_level = "warn"\n[remote]\nconfig = ["node.log_level"]\n')

    assert load({"data-dir": str(tmp_path)}, environment={}).node.log_level == "debug"
    assert load({"data-dir": str(tmp_path), "log-level": "error"}, environment={}).node.log_level == "error"


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    remote.place(tmp_path).write_bytes(b"[node")

    with pytest.raises(ConfigError, match=r"remote\.toml cannot be read"):
        remote.read(config(tmp_path, "node.log_level"))


@pytest.mark.parametrize(
    "path", ["node.data_dir", "ca.enabled", "control.socket", "remote.config", "join.token", "nothing"]
)
def test_what_would_give_rights_or_end_a_node_cannot_be_allowed(tmp_path: Path, path: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f'[remote]\nconfig = ["{path}"]\n')

    assert path not in CHANGED_FROM_AFAR
    with pytest.raises(ConfigError, match=f'x.toml:2: remote.config: "{path}" is no setting that can be changed'):
        load({}, file=file, environment={})


@pytest.mark.parametrize("damaged", [b"[node", b'[node]\nlog_level = "shout"\n', b"\xff"])
def test_nothing_that_was_set_from_afar_keeps_a_node_from_starting(tmp_path: Path, damaged: bytes) -> None:
    remote.place(tmp_path).write_bytes(damaged)
    (tmp_path / "config.toml").write_text('[node]\nlog_level = "warn"\n[remote]\nconfig = ["node.log_level"]\n')
    whence = layers({"data-dir": str(tmp_path)}, environment={})

    started, problem = whence.at_start()

    assert started.node.log_level == "warn"
    assert problem.startswith("started without what was set from afar: ")
    with pytest.raises(ConfigError):
        whence.merged()


def test_what_is_wrong_here_does_keep_it_from_starting(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[node]\nlog_level = "shout"\n')

    with pytest.raises(ConfigError, match="log_level"):
        layers({"data-dir": str(tmp_path)}, environment={}).at_start()
