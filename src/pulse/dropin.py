"""Names under .pulse for the whole machine: a drop-in of systemd-resolved, which outlives the node.

Invariant: a file that pulse did not write is neither replaced nor removed; what resolved does not take is not left.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

from pulse.errors import Conflict, NotFound, PulseError, Refused, SystemRefused
from pulse.net.programs import run
from pulse.net.resolver import DOMAIN, Resolved

PATH: Final = Path("/etc/systemd/resolved.conf.d/pulse.conf")

_MARK: Final = "# Written by pulse setup dns --global. Take it back: sudo pulse setup dns --undo --global\n"
_READABLE: Final = 0o644
_LISTED: Final = 0o755


def install(server: str, path: Path = PATH) -> bool:
    """Have resolved ask `server`, host:port, for names under .pulse; False if it does already.

    Raises Refused for who is not root, Conflict, or SystemRefused.
    """
    check_root("pulse setup dns --global")
    if not Resolved().runs():
        raise SystemRefused(f"systemd-resolved does not run here, so nobody would read {path}.\nSee: pulse setup dns")
    wanted = f"{_MARK}[Resolve]\nDNS={server}\nDomains=~{DOMAIN}\n"
    before = _content(path)
    if before == wanted:
        return False
    if not before:
        _check_unmixed(server)
    _write(path, wanted)
    try:
        _restart()
    except PulseError:
        _write(path, before) if before else _remove(path)
        raise
    return True


def remove(path: Path = PATH) -> None:
    """As it was before. Raises Refused for who is not root, NotFound, Conflict, or SystemRefused."""
    check_root("pulse setup dns --undo --global")
    if not _content(path):
        raise NotFound(f"there is no {path}: names under .pulse are not set up for the whole machine")
    _remove(path)
    if Resolved().runs():
        _restart()


def check_root(command: str) -> None:
    """Raise Refused for who is not root."""
    if os.geteuid() != 0:
        raise Refused(f"what is set for the whole machine takes root. Type: sudo {command}")


def _check_unmixed(server: str) -> None:
    """Resolved takes all servers that are set for the whole machine for the same: any name would go to any of them."""
    said = _wait(run("resolvectl", "dns"))
    found = next((line.partition(":")[2].split() for line in said.splitlines() if line.startswith("Global")), [])
    # A server on loopback is shown there although it is set on an interface alone.
    if servers := [each for each in found if each != server]:
        raise Conflict(
            f"the DNS servers of this machine ({', '.join(servers)}) are set for the whole of it,\n"
            "and systemd-resolved would mix pulse's with them. "
            "Set them on their interface, or have pulse's on its own: pulse setup dns"
        )


def _restart() -> None:
    _wait(run("systemctl", "restart", "systemd-resolved"))


def _wait(work: Awaitable[str]) -> str:
    async def done() -> str:
        return await work

    return asyncio.run(done())


def _content(path: Path) -> str:
    """What pulse wrote there; empty if there is nothing."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SystemRefused(f"cannot read {path}: {error.strerror}") from error
    if not text.startswith(_MARK):
        raise Conflict(f"{path} is not what pulse wrote. Move it away, then try again")
    return text


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        if not path.parent.exists():
            path.parent.mkdir()
            path.parent.chmod(_LISTED)
        with fresh.open("x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), _READABLE)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise SystemRefused(f"cannot write {path}: {error.strerror}") from error


def _remove(path: Path) -> None:
    """The directory too, if nothing else is in it: it may be ours, and means nothing."""
    try:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise SystemRefused(f"cannot remove {path}: {error.strerror}") from error
