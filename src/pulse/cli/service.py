"""`pulse install-service`: the node as a service of this machine, under systemd, as a user of its own.

Invariant: what is there already and was changed by a person stays; the same command twice changes nothing.
"""

import grp
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

import pulse
from pulse.cli.output import tick
from pulse.config import SERVICE_DATA_DIR
from pulse.errors import PulseError, Refused, SystemRefused
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

OPENED: Final = "etc/tmpfiles.d/pulse.conf"
OPENS: Final = f"z /{CONFIG} 0640 root pulse -\n"
"""Lets the service read its settings, in an image, too, whose user comes with its first boot."""

HOMES: Final = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 (nothing is written there)
"""Where the service's user cannot read (ProtectHome), or sees a directory of its own (PrivateTmp)."""

MARK: Final = "pulse install-service wrote this: "
"""Before the digest in the last line of what we write: who changed the text changed it knowingly, and it stays."""


def text(name: str) -> str:
    """A file of the service as it comes with pulse; a Debian package has the same."""
    return (FILES / name).read_text(encoding="utf-8")


def unit(command: str) -> str:
    """The unit file of a machine on which `command`, quoted as systemd wants it, is pulse."""
    return text("pulse.service").replace(PACKAGED_COMMAND, command)


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
        _tell_system(new=bool(changed) and not uninstall)
        if uninstall:
            changed += _freed()
        else:
            _close(Path("/") / CONFIG)
    # Only now: whoever reads us may hang up, and that leaves nothing half done.
    for line in changed:
        tick(line)
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


def _installed(place: Path) -> list[str]:
    """Write what is not there or is another text of ours; what was done."""
    wanted = (
        (UNIT, unit(_command()), "#"),
        (USER, text("sysusers.conf"), "#"),
        (RULE, text("polkit.rules"), "//"),
        (OPENED, OPENS, "#"),
    )
    done = [_renewed(place / path, _marked(text, comment)) for path, text, comment in wanted]
    if not (place / CONFIG).exists():
        done.append(_written(place / CONFIG, text("config.toml"), 0o600))
    return [line for line in done if line]


def _renewed(path: Path, text: str) -> str:
    """Write `text` unless a person wrote what is there, which is told; what was done."""
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    body = text[: text.rindex("\n", 0, -1) + 1]
    if there in (text, body):
        return ""
    if there and not _is_ours(there):
        print(
            f"note: {path} was changed, and stays. For ours: rm {path}, and again. "
            "Settings of yours last in a file beside it: systemctl edit pulse",
            file=sys.stderr,
        )
        return ""
    return _written(path, text, 0o644)


def _marked(text: str, comment: str) -> str:
    return f"{text}{comment} {MARK}{hashlib.sha256(text.encode()).hexdigest()}\n"


def _is_ours(text: str) -> bool:
    """True if nobody changed it since we wrote it."""
    body, mark, digest = text.rpartition(MARK)
    body = body[: body.rfind("\n") + 1]
    return bool(mark) and hashlib.sha256(body.encode()).hexdigest() == digest.strip()


def _written(path: Path, text: str, mode: int) -> str:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=mode & 0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    fresh.rename(path)
    return f"wrote {path}"


def _close(settings: Path) -> None:
    """Only root and the service read the settings: tokens may be in them."""
    try:
        settings.chmod(0o600)
        os.chown(settings, 0, grp.getgrnam("pulse").gr_gid)
        settings.chmod(0o640)
    except KeyError:
        print(
            f"note: there is no group pulse yet, so only root can read {settings}.\n"
            f"Make it: systemd-sysusers /{USER}; then type this again",
            file=sys.stderr,
        )
    except OSError as error:
        print(f"note: cannot close {settings} to others: {error.strerror}", file=sys.stderr)


def _removed(place: Path) -> list[str]:
    """Take away what we wrote, and put aside what a person changed; what was done."""
    if place == Path("/") and (place / RUNS).is_dir():
        _run("systemctl", "disable", "--now", "pulse")
    done = []
    for path in [place / path for path in (UNIT, USER, RULE, OPENED) if (place / path).exists()]:
        if _is_ours(path.read_text(encoding="utf-8")):
            path.unlink()
            done.append(f"removed {path}")
        else:
            path.rename(aside := path.with_name(f"{path.name}.saved"))
            done.append(f"removed {path}, which was changed: it is {aside.name} now")
    return done


def _freed() -> list[str]:
    """Have this machine as it was, if a node that is gone left anything; what was done."""
    from pulse import aftermath

    try:
        return [f"put back {each}" for each in aftermath.put_back(SERVICE_DATA_DIR)]
    except PulseError as error:
        print(f"note: what the node set on this machine is not put back: {error}", file=sys.stderr)
        return []


def _command() -> str:
    """How this pulse is called by a service. Raises Refused if its user could not read it."""
    found = shutil.which(sys.argv[0])
    words = [os.path.abspath(found)] if found and not found.endswith(".py") else program("pulse")
    for path in (words[0], sys.executable, pulse.__path__[0]):
        # A link outside may lead inside.
        for place in (os.path.abspath(path), os.path.realpath(path)):
            if place.startswith(HOMES):
                raise Refused(
                    f"{place} is in a home directory or under /tmp, where a service cannot read it.\n"
                    "Install pulse for all users: python3 -m venv /opt/pulse; /opt/pulse/bin/pip install …"
                )
    if odd := sorted(each for each in words[0] if each in "\"'\\" or not each.isprintable()):
        raise Refused(
            f"{words[0]!r} has {odd[0]!r} in it, which systemd takes in no path.\nInstall pulse elsewhere: /opt/pulse"
        )
    return " ".join([_quoted(words[0]), *(_quoted(word).replace("$", "$$") for word in words[1:])])


def _quoted(word: str) -> str:
    """A word of a command as systemd reads it; in the first one it looks for no variables (systemd.service(5))."""
    word = word.replace("%", "%%")
    return f'"{word}"' if set(word) & set(" ;") else word


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
