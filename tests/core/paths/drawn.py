"""Meshes drawn at random, connected, with links of any figures."""

from hypothesis import strategies as st

from tests.core.paths.atlas import Atlas

MOST_NODES = 9


@st.composite
def atlases(draw: st.DrawFn, least: int = 2) -> Atlas:
    """A connected mesh whose nodes all announce what they have; hubs leave some of it to the other end."""
    size = draw(st.integers(least, MOST_NODES))
    atlas = Atlas()
    ms, loss = st.integers(0, 300), st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.1, 0.5])
    for node in range(1, size):
        atlas.join(draw(st.integers(0, node - 1)), node, draw(ms), draw(loss))
    for _ in range(draw(st.integers(0, 2 * size))):
        one, other = sorted((draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))))
        if one != other:
            atlas.join(one, other, draw(ms), draw(loss))
    atlas.hubs = draw(st.sets(st.integers(0, size - 1), max_size=2))
    unlisted = [(hub, other) for hub in sorted(atlas.hubs) for other in atlas.around(hub) if other not in atlas.hubs]
    if unlisted:
        atlas.silent = draw(st.sets(st.sampled_from(unlisted)))
    return atlas
