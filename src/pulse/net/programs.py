"""Runs programs of this machine that set what no interface of the kernel does: resolvectl, resolvconf, systemctl.

Invariant: none is waited for without end, and none gets a variable of ours, which may hold a token.
"""

import asyncio
import os
import shutil
import tempfile
from typing import Final

from pulse.errors import SystemRefused

PATIENCE: Final = 10.0
"""Seconds a program may take; systemd-resolved that is just starting answers within one."""

_MOST_SAID: Final = 64 * 1024

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INHERITED: Final = ("PATH", "DBUS_SYSTEM_BUS_ADDRESS")
"""Variables that programs get; ours may hold a token."""


async def run(program: str, *arguments: str, said: str = "") -> str:
    """Run a program of this machine and return what it said. Raises SystemRefused with that if it fails."""
    words = " ".join((program, *arguments))
    # Files, not pipes: a daemon that the program starts may keep those, and nobody would see the end.
    with tempfile.TemporaryFile() as heard, tempfile.TemporaryFile() as told:
        heard.write(said.encode())
        heard.seek(0)
        try:
            process = await asyncio.create_subprocess_exec(
                program, *arguments, stdin=heard, stdout=told, stderr=told, env=_environment()
            )
        except OSError as error:
            raise SystemRefused(f"cannot run {program}: {error.strerror}. Is it installed?") from error
        code = await _end_of(process, words)
        told.seek(0)
        output = told.read(_MOST_SAID).decode("utf-8", "replace")
    if code:
        raise SystemRefused(f"{words} failed: {output.strip() or f'exit code {code}'}")
    return output


def is_installed(program: str) -> bool:
    """True if there is such a program where `run` looks."""
    return shutil.which(program, path=_path()) is not None


async def _end_of(process: asyncio.subprocess.Process, words: str) -> int:
    try:
        async with asyncio.timeout(PATIENCE):
            return await process.wait()
    except TimeoutError:
        raise SystemRefused(f"{words} did not end within {PATIENCE:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _environment() -> dict[str, str]:
    ours = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**ours, "PATH": _path(), "LC_ALL": "C"}


def _path() -> str:
    """Where programs are; services and ordinary users may lack the sbin directories."""
    return ":".join(filter(None, (os.environ.get("PATH"), _PATH)))
