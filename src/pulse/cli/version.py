"""`pulse version`: which pulse this is, and that its two halves fit together."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

from pulse.cli.output import print_json
from pulse.cli.values import Json
from pulse.errors import SystemRefused

DISTRIBUTION = "pulse-mesh"


def version(*, json: Json = False) -> None:
    """Show the version of pulse and of its data plane."""
    versions = {"pulse": _package(), "dataplane": _dataplane(), "python": platform.python_version()}
    if json:
        print_json(versions)
    else:
        print("pulse {pulse} (data plane {dataplane}, Python {python})".format(**versions))


def _package() -> str:
    try:
        return installed(DISTRIBUTION)
    except PackageNotFoundError:
        return "not installed"


def _dataplane() -> str:
    try:
        from pulse import _dataplane
    except ImportError as error:
        raise SystemRefused(
            f"the data plane of pulse {_package()} cannot be loaded: {error}.\n"
            "Install pulse again; from source: make setup"
        ) from error
    return _dataplane.version()
