"""`/metrics`: what monitoring asks for, in the text format of Prometheus (version 0.0.4).

Invariant: whatever a name has in it, each sample is one line.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint, Written
from pulse.core.trust.apikeys import Scope
from pulse.schemas.stats import Family, Samples

KIND: Final = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_QUOTED: Final = _ESCAPES | str.maketrans({'"': r"\""})


async def metrics(control: Control, _: Request) -> Written:
    """Metrics of this node, and on the scribe of all, as Prometheus reads them."""
    return Written(exposition(await control.metrics.metrics()), KIND)


def exposition(found: Mapping[Family, Samples]) -> str:
    """All families that have samples."""
    return "".join(line for family, samples in found.items() if samples for line in _lines(family, samples))


def _lines(family: Family, samples: Samples) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help.translate(_ESCAPES)}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for values, number in samples.items():
        labels = ",".join(
            f'{label}="{value.translate(_QUOTED)}"' for label, value in zip(family.labels, values, strict=True)
        )
        yield f"{family.name}{{{labels}}} {number!r}\n" if labels else f"{family.name} {number!r}\n"


ENDPOINTS = (Endpoint("GET", "/metrics", metrics, Scope.READ),)
