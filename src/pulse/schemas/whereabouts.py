"""What the control API says and hears of where hosts are: at which node of the mesh.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from typing import Annotated

import msgspec

from pulse.schemas.structs import Body, View


class HostQuery(Body, frozen=True):
    """A host as programs write it: a name under `.pulse` or of a node, an id, or a mesh address."""

    host: Annotated[str, msgspec.Meta(max_length=255)]


class Found(View, frozen=True):
    """The node at which a host is."""

    id: str
    name: str
    v4: str
    v6: str
