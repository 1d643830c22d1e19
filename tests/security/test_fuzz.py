"""Damaged bytes to everything that reads what others wrote: read or refused, soon. 100,000 for each: `make fuzz`."""

from pathlib import Path

from tests.fuzz.parsers import parsers
from tests.fuzz.runs import fuzzed

RUNS = 100
"""Inputs a parser, always the same ones."""


def test_no_parser_breaks_or_lingers_over_damaged_bytes(tmp_path: Path) -> None:
    found = {parser.name: fuzzed(parser, RUNS, seed=0) for parser in parsers(tmp_path)}

    assert len(found) > 100
    assert all(each.runs == RUNS for each in found.values())
    assert found["messages of neighbours"].taken


def test_no_word_at_any_place_breaks_a_mesh_or_is_unknown_to_its_data_plane(tmp_path: Path) -> None:
    meshes = [each for each in parsers(tmp_path) if each.name.startswith("a mesh told")]
    for mesh in meshes:
        for seed in mesh.seeds:
            mesh.read(seed)

    assert sum(len(each.seeds) for each in meshes) > 1000
