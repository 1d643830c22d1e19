"""What the control API says of the links of the whole mesh, which a picture of it is drawn from.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from pulse.schemas.structs import View


class TopologyLink(View, frozen=True):
    """A link that counts, with the worse figures of its two ends."""

    one: int
    other: int
    """Its ends, by their places in `Topology.nodes`."""
    rtt: float
    """Seconds."""
    loss: float
    """From 0 to 1."""
    link: str = ""
    """Its type, if it is one of the node that was asked; others do not tell theirs."""
    suspect: bool = False
    """Echoes of it go missing, as the node that was asked sees it; of others' links that is not known."""


class Topology(View, frozen=True):
    """The links of the mesh, as they are announced and as this node knows its own."""

    nodes: list[str]
    """Ids; the node that was asked comes first."""
    links: list[TopologyLink]
    """Each once."""
