"""Runs `pulse` as people do: a process, its words, its exit code."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

from tests.cli import forks

ROOT = Path(__file__).parents[2]

FINDER = """
import importlib.util, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, {node!r}) if name == "pulse.node" else None

sys.meta_path.insert(0, Finder())
"""
"""Makes `pulse.node` the fake one, in every process that is started with it on its path."""


@dataclass(frozen=True)
class Done:
    """What a command said."""

    code: int
    out: str
    err: str


@dataclass
class Shell:
    """A home directory of its own, and no settings of the machine's."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    def fake_node(self, behaviour: str = "") -> "Shell":
        """From now on nodes are those of fake_node.py."""
        (self.home / "sitecustomize.py").write_text(FINDER.format(node=str(ROOT / "tests" / "cli" / "fake_node.py")))
        self.environment |= {"FAKE_NODE": behaviour}
        return self

    def variables(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")}
        path = os.pathsep.join((str(self.home), str(ROOT / "src"), str(ROOT)))
        return clean | {"HOME": str(self.home), "PYTHONPATH": path, "COLUMNS": "80"} | self.environment

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pulse", *arguments]

    def pulse(self, *arguments: str, given: str = "") -> Done:
        """Run a command to its end, `given` on its standard input."""
        if any(name.startswith(("PYTHON", "LC_", "LANG")) for name in self.environment):
            return self._started(*arguments, given=given)
        with TemporaryFile() as said, TemporaryFile() as out, TemporaryFile() as err:
            said.write(given.encode())
            said.seek(0)
            streams = [each.fileno() for each in (said, out, err)]
            code = forks.run(arguments, self.variables(), self.home, streams)
            texts = []
            for each in (out, err):
                each.seek(0)
                texts.append(each.read().decode())
        return Done(code, *texts)

    def _started(self, *arguments: str, given: str) -> Done:
        """The same by a Python of its own, which reads its settings as it starts."""
        done = subprocess.run(
            self.command(*arguments), input=given, capture_output=True, text=True, timeout=60, check=False,
            env=self.variables(), cwd=self.home,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def node(self, *arguments: str) -> Done:
        """Run a command about the node of our data directory."""
        return self.pulse(*arguments, "--data-dir", str(self.data_dir))


def processes_about(shell: Shell) -> list[Path]:
    """Processes that have our data directory's log open."""
    log = str(shell.data_dir / "pulse.log")
    return [fd.parent.parent for fd in Path("/proc").glob("[0-9]*/fd/1") if fd.is_symlink() and link(fd) == log]


def link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
