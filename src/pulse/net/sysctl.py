"""Settings of the kernel under /proc/sys.

Invariant: what the system refuses is raised as SystemRefused, which names the setting.
"""

from pathlib import Path
from typing import Final

from pulse.errors import SystemRefused

_ROOT: Final = Path("/proc/sys")

FORWARDING: Final = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
"""By IP version the setting that has the kernel forward."""

DEVICE_FORWARDING: Final = {4: "net/ipv4/conf/{}/forwarding", 6: "net/ipv6/conf/{}/forwarding"}
"""The same for what comes in by one interface, by the name of the interface."""

ROUTER_ADVERTISEMENTS: Final = "net/ipv6/conf/{}/accept_ra"
"""Whether an interface hears of routers, by the name of the interface."""

NO_IPV6: Final = "net/ipv6/conf/{}/disable_ipv6"
"""Whether an interface is kept from having IPv6, by its name; a new one is as `default` says."""


def read(name: str) -> str | None:
    """The value of a setting such as `net/ipv4/ip_forward`; None if this kernel has none of that name."""
    try:
        return (_ROOT / name).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def write(name: str, value: str) -> None:
    """Change a setting. Raises SystemRefused."""
    try:
        (_ROOT / name).write_text(value, encoding="ascii")
    except OSError as error:
        dotted = name.replace("/", ".")
        raise SystemRefused(
            f"cannot set {dotted} to {value}: {error.strerror or error}.\n"
            f"It takes CAP_NET_ADMIN and a writable /proc/sys. Or set it yourself: sysctl -w {dotted}={value}"
        ) from error


def forwards(version: int) -> bool:
    """True if the kernel forwards packets of that version of IP."""
    return read(FORWARDING[version]) not in ("0", None)


def allow_ipv6(interface: str) -> None:
    """Let that interface alone have IPv6 addresses. Raises SystemRefused, also where the kernel has no IPv6."""
    if not (_ROOT / "net/ipv6").is_dir():
        raise SystemRefused("this kernel has no IPv6")
    if read(NO_IPV6.format(interface)) == "1":
        write(NO_IPV6.format(interface), "0")


def interfaces(family: str) -> list[str]:
    """The interfaces that have settings of their own; `family` is `ipv4` or `ipv6`."""
    try:
        found = [each.name for each in (_ROOT / "net" / family / "conf").iterdir()]
    except OSError:
        return []
    return sorted(each for each in found if each not in ("all", "default"))
