"""Lines of keys: found in whatever way they are written, and no key is missed."""

import tomllib
from collections.abc import Iterator
from typing import Any

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.tomllines import Path, lines

TEXT = """\
# a comment with "quotes" and [brackets]
top = 'plain # no comment'  # a comment

[settings] # the settings
mesh_cidr = "10.100.0.0/16"
'quoted key' = 1979-05-27T07:32:00Z
a."b\\U0000002e" = [ 1, # one
  2,
  { x = 1, y = "}" },
]

[[acl]]
note = \"\"\"
[[acl]] is no header, and \\\\ no end
"\"\"\"
from = ["tag:x"]

[[acl]]
note = '''it's
here'''
[acl.inner]
deep = true
[[acl.list]]
z = 1
"""


def test_every_way_to_write_a_key_is_found() -> None:
    found = lines(TEXT)
    wanted: dict[Path, int] = {
        ("top",): 2, ("settings",): 4, ("settings", "mesh_cidr"): 5, ("settings", "quoted key"): 6,
        ("settings", "a", "b."): 7, ("settings", "a", "b.", 2): 9, ("settings", "a", "b.", 2, "y"): 9,
        ("acl", 0): 12, ("acl", 0, "note"): 13, ("acl", 0, "from"): 16, ("acl", 1): 18, ("acl", 1, "note"): 19,
        ("acl", 1, "inner"): 21, ("acl", 1, "inner", "deep"): 22,
        ("acl", 1, "list", 0): 23, ("acl", 1, "list", 0, "z"): 24,
    }  # fmt: skip
    assert {path: found.get(path) for path in wanted} == wanted
    assert tomllib.loads(TEXT)["acl"][1]["list"] == [{"z": 1}]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield (*path, key)
        yield from paths(each, (*path, key))


leaves = st.one_of(st.integers(-9, 9), st.booleans(), st.text(st.characters(codec="ascii")), st.just(0.5))
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\"' #é"), inner, max_size=3)
)


@settings(max_examples=50)
@given(st.dictionaries(st.text("ab-."), values, max_size=4), st.booleans())
def test_no_key_of_a_text_is_missed(value: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(value, multiline_strings=multiline)
    assert tomllib.loads(text) is not None

    assert {*paths(tomllib.loads(text))} <= {*lines(text)}
