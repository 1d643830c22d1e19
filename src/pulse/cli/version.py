"""`pulse version`: which pulse this is, and that its two halves fit together."""

import platform
from importlib.metadata import PackageNotFoundError

from pulse import release
from pulse.cli.output import print_json
from pulse.cli.values import Json
from pulse.errors import SystemRefused


def version(*, json: Json = False) -> None:
    """Show which pulse this is: version, commit, data plane."""
    commit = release.commit()
    versions = {
        "pulse": _package(),
        "commit": commit,
        "dataplane": _dataplane(),
        "python": platform.python_version(),
    }
    if json:
        print_json(versions)
        return
    told = versions | {"commit": release.shown(commit)}
    print("pulse {pulse} (commit {commit}, data plane {dataplane}, Python {python})".format(**told))


def _package() -> str:
    try:
        return release.version()
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
