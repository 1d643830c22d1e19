"""`pulse install-service`: the node as a service of this machine, under systemd, as a user of its own.

Invariant: what is there already and was changed by a person stays; the same command twice changes nothing.
"""

import contextlib
import grp
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from pulse.cli.output import tick
from pulse.errors import Refused, SystemRefused
from pulse.interpreter import program

FILES: Final = Path(__file__).parent / "files"
PACKAGED_COMMAND: Final = "/usr/bin/pulse"
PACKAGED_UNIT: Final = "usr/lib/systemd/system/pulse.service"
"""There if a package of the distribution brought the service."""

UNIT: Final = "etc/systemd/system/pulse.service"
USER: Final = "etc/sysusers.d/pulse.conf"
RULE: Final = "etc/polkit-1/rules.d/50-pulse.rules"
CONFIG: Final = "etc/pulse-mesh/config.toml"
RUNS: Final = "run/systemd/system"
"""There if systemd manages the machine (sd_booted(3))."""

HOMES: Final = ("/home/", "/root/", "/run/user/")
"""Where the service's user cannot read (ProtectHome)."""


def text(name: str) -> str:
    """A file of the service as it comes with pulse; a Debian package has the same."""
    return (FILES / name).read_text(encoding="utf-8")


def unit(pulse: str) -> str:
    """The unit file of a machine on which `pulse` is the command."""
    return text("pulse.service").replace(PACKAGED_COMMAND, pulse)


def install_service(
    *,
    uninstall: Annotated[bool, Parameter(help="Take the service away; settings and state stay.")] = False,
    root: Annotated[Path | None, Parameter(help="The file system of an image to install into, instead of /.")] = None,
) -> None:
    """Run the node as a service of this machine.

    It makes a unit for systemd, a user for it and a file with its settings. Nothing is started: it says what to
    type next.

    More: pulse help settings, pulse help files
    """
    if root is None and os.geteuid() != 0:
        raise Refused("a service is installed by root.\nTry: sudo pulse install-service")
    place = root or Path("/")
    if not uninstall and (place / PACKAGED_UNIT).exists():
        raise Refused(
            f"/{PACKAGED_UNIT} is there: a package brought the service.\n"
            "Start that: sudo systemctl enable --now pulse      (or remove it first: sudo apt remove pulse-mesh)"
        )
    try:
        changed = _removed(place) if uninstall else _installed(place)
    except OSError as error:
        raise SystemRefused(
            f"cannot write {error.filename}: {error.strerror}.\nSee to the disk and its rights."
        ) from error
    if root is None:
        _tell_system(new=changed and not uninstall)
        _close(Path("/") / CONFIG)
    if not changed:
        print("nothing to do: it is not installed" if uninstall else "nothing to do: it is installed so already")
    print(_GONE if uninstall else _NEXT)


_NEXT: Final = """
Then:
  sudo pulse join pls_…                   unless this machine is a member; or [ca] enabled = true in the settings
  sudo systemctl enable --now pulse
See it:  pulse status     (as root, or in group pulse: usermod -aG pulse <you>)
         journalctl -u pulse -f"""

_GONE: Final = """
Settings stay in /etc/pulse-mesh, state in /var/lib/pulse. Without them this machine is no member any more:
  rm -r /etc/pulse-mesh /var/lib/pulse; userdel pulse     (PulseAudio may have a user of that name)"""


def _installed(place: Path) -> bool:
    """Write what is not there or is another text of ours; True if anything was."""
    wanted = (
        (UNIT, unit(_command()), 0o644),
        (USER, text("sysusers.conf"), 0o644),
        (RULE, text("polkit.rules"), 0o644),
    )
    changed = [_written(place / path, text, mode) for path, text, mode in wanted]
    config = place / CONFIG
    if not config.exists():
        changed.append(_written(config, text("config.toml"), 0o644))
    return any(changed)


def _written(path: Path, text: str, mode: int) -> bool:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    fresh.rename(path)
    tick(f"wrote {path}")
    return True


def _close(settings: Path) -> None:
    """Only root and the service read the settings: tokens may be in them."""
    with contextlib.suppress(KeyError, OSError):
        os.chown(settings, 0, grp.getgrnam("pulse").gr_gid)
        settings.chmod(0o640)


def _removed(place: Path) -> bool:
    if place == Path("/") and (place / RUNS).is_dir():
        _run("systemctl", "disable", "--now", "pulse")
    there = [place / path for path in (UNIT, USER, RULE) if (place / path).exists()]
    for path in there:
        path.unlink()
        tick(f"removed {path}")
    return bool(there)


def _command() -> str:
    """How this pulse is called by a service. Raises Refused if its user could not read it."""
    found = shutil.which(sys.argv[0])
    words = [os.path.abspath(found)] if found and not found.endswith(".py") else program("pulse")
    if words[0].startswith(HOMES):
        raise Refused(
            f"{words[0]} is in a home directory, which a service cannot read.\n"
            "Install pulse for all users: python3 -m venv /opt/pulse; /opt/pulse/bin/pip install …"
        )
    return " ".join(words)


def _tell_system(*, new: bool) -> None:
    """Make the user, and have systemd read its files again."""
    for command in _commands(new=new):
        _run(*command)


def _commands(*, new: bool) -> Iterator[tuple[str, ...]]:
    if new:
        yield ("systemd-sysusers", f"/{USER}")
    if (Path("/") / RUNS).is_dir():
        yield ("systemctl", "daemon-reload")


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"note: {command[0]} could not be run: {error}", file=sys.stderr)
        return
    if done.returncode:
        print(f"note: {' '.join(command)}: {done.stderr.strip()}", file=sys.stderr)
