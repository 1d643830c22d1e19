"""What the control API says of this machine's resolver."""

from pulse.schemas.structs import View


class ResolverInfo(View, frozen=True):
    """Whether names under .pulse are asked of this node."""

    wanted: bool
    """A person had it so: it is set again at every start."""
    resolver: str
    """The program that was told; empty if none is."""
    device: str
    """The interface on which the settings hang."""
    server: str
    """`host:port` at which the resolver, or else any program here, asks this node; empty if it answers no DNS."""
    problem: str
    """Why it is not so just now, or does not help; empty if all is well."""
