"""`pulse top` in a real terminal, over TCP with a key, before a real mesh, narrow and wide."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pulse.lab.lab import Lab
from pulse.lab.topologies import star
from tests.e2e.mesh import PATIENCE, Node, bring_up_mesh
from tests.namespace import require_root


@dataclass(frozen=True)
class Terminal:
    """A tmux on a host of the lab."""

    node: Node
    tmux: list[str]

    def tells(self, *words: str) -> str:
        return self.node.host.run([*self.tmux, *words]).stdout

    @property
    def screen(self) -> str:
        return self.tells("capture-pane", "-p")

    def keys(self, *keys: str) -> None:
        self.tells("send-keys", *keys)

    def wait(self, *texts: str) -> str:
        end = time.monotonic() + PATIENCE
        while not all(text in (shown := self.screen) for text in texts):
            assert time.monotonic() < end, shown
            time.sleep(0.1)
        return shown


@contextmanager
def terminal(node: Node, place: Path, command: str, columns: int, lines: int) -> Iterator[Terminal]:
    tmux = [shutil.which("tmux") or "tmux", "-S", str(place / f"tmux-{columns}"), "-f", "/dev/null"]
    made = Terminal(node, tmux)
    made.tells("new-session", "-d", "-x", str(columns), "-y", str(lines), command)
    try:
        yield made
    finally:
        made.tells("kill-server")


def test_the_mesh_is_shown_and_changed_in_a_terminal_over_tcp_with_a_key(tmp_path: Path) -> None:
    require_root()
    with Lab(star(2)) as lab:
        mesh = bring_up_mesh(lab, {"h1": "h0"})
        mesh["h1"].wait_direct(mesh["h0"])
        key = mesh["h0"].host.pulse("api-key", "create", "top", "--scope", "write").stdout.split()[-1]
        command = f"env -u COLUMNS -u LINES PULSE_API_KEY={key} pulse top --node http://127.0.0.1:8080"
        with terminal(mesh["h0"], tmp_path, command, 80, 24) as shown:
            narrow = shown.wait("All well.", "h1", " ms")
            assert all(title in narrow for title in ("NODE", "ADDRESS", "LINK", "RTT", "SEEN"))

            shown.keys(":")
            shown.wait("a command of pulse")
            shown.keys("tag h1 edge", "Enter")
            shown.wait("h1 has the tags edge")
        with terminal(mesh["h0"], tmp_path, command, 170, 48) as shown:
            wide = shown.wait("TAGS", "CONNS", "edge", mesh["h1"].host.name)
            assert max(map(len, wide.splitlines())) <= 170

            shown.keys("2")
            shown.wait("JITTER")
            shown.keys("Enter")
            shown.wait("reached", "NAT")
            shown.keys("q")
            shown.wait("JITTER")
            shown.keys("8")
            shown.wait("TIME", "join")
            shown.keys("q", "q")
        assert mesh.errors == []
