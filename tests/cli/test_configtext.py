"""The file of the whole config: what is written is read as the same, whatever it holds."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulse.cli import configtext
from pulse.errors import ConfigError, NotFound
from pulse.schemas.config import ConfigFile, FileAssertion, FileRecord, FileRoute, FileRule, FileSettings, FileTemplate

OTHER = '[settings]\nmesh_cidr = "10.100.0.0/16"\n'
RULE = OTHER + "[[acl]]\nfrom = '*'\nto = '*'\n"

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
rules = st.builds(
    FileRule,
    id=words,
    source=st.lists(words, max_size=2),
    destination=st.lists(words, max_size=2),
    action=st.sampled_from(["allow", "deny"]),
    ports=st.lists(st.just("22"), max_size=2),
    expires=st.none() | st.integers(0, 253_402_300_799).map(float),
    redundant=st.booleans(),
    note=words,
)
files = st.builds(
    ConfigFile,
    settings=st.builds(FileSettings, words),
    names=st.dictionaries(words, words, max_size=2),
    tags=st.dictionaries(words, st.lists(words, max_size=2), max_size=2),
    acl=st.lists(rules, max_size=2),
    tests=st.lists(st.builds(FileAssertion, source=words, destination=words), max_size=2),
    templates=st.dictionaries(words, st.builds(FileTemplate, name=words, ttl=st.none() | st.just("4h")), max_size=2),
    zones=st.lists(st.builds(FileRecord, words, words, words), max_size=2),
    routes=st.lists(st.builds(FileRoute, words, words, approved=st.booleans()), max_size=2),
)


@given(file=files)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_as_the_same(tmp_path: Path, file: ConfigFile) -> None:
    path = tmp_path / "mesh.toml"
    path.write_text(configtext.written(file), encoding="utf-8")

    assert configtext.read(str(path)).config == file


def test_a_file_is_written_for_people_and_for_differences() -> None:
    rules = [FileRule(id=each, source=["web"], destination=["tag:db"], expires=1_790_000_000.0) for each in "ab"]
    tags = {"web": [f"tag-{number}" for number in range(20)], "a b": ["x"]}
    file = ConfigFile(settings=FileSettings("10.0.0.0/8"), tags=tags, acl=rules, templates={"w": FileTemplate()})
    lines = configtext.written(file).splitlines()

    assert lines[lines.index("[[acl]]") :] == [
        "[[acl]]", 'id = "a"', 'from = ["web"]', 'to = ["tag:db"]', "expires = 2026-09-21T14:13:20Z", "",
        "[[acl]]", 'id = "b"', 'from = ["web"]', 'to = ["tag:db"]', "expires = 2026-09-21T14:13:20Z", "",
        "[templates.w]", "", "[auto_approve]",
    ]  # fmt: skip
    assert {'mesh_cidr = "10.0.0.0/8"', "web = [", '    "tag-7",', '"a b" = ["x"]'} <= {*lines}


def test_a_key_that_is_wrong_at_one_of_many_places_names_no_line_that_may_be_another(tmp_path: Path) -> None:
    path = tmp_path / "mesh.toml"
    path.write_text('[settings]\nmesh_cidr = "x"\n[names]\na = "x"\nb = 7\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mesh\.toml: Expected `str`, got `int`, in names"):
        configtext.read(str(path))


def test_what_a_node_says_of_a_record_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mesh.toml"
    path.write_text(
        'zones = [\n  {name = "a", type = "A", value = "x"},\n]\nsettings.mesh_cidr = "x"\n', encoding="utf-8"
    )
    text = configtext.read(str(path))
    with pytest.raises(NotFound, match=r"mesh\.toml:2: zone record 1: bad"), text.places():
        raise NotFound("zone record 1: bad")
    with pytest.raises(NotFound, match=r"^names: bad"), text.places():
        raise NotFound("names: bad")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("acl = [", "is no TOML"),
        ("", "mesh.toml is not a whole network config: it has no [settings]"),
        (RULE + "prot = 'tcp'\n", 'mesh.toml:6: unknown key "prot" in acl, number 1. Did you mean proto?'),
        (OTHER + "[templates.web]\nttl = nan\n", "mesh.toml:4: Expected `float` >= 1.0, in templates, ttl"),
        (OTHER + "[aclx]\n", 'mesh.toml:3: unknown key "aclx". Did you mean acl?'),
        (OTHER + "[templates.web]\nq = 1\n", 'mesh.toml:4: unknown key "q" in templates. There are: tags, name'),
        (RULE + "ttl = 60\n", 'mesh.toml:6: unknown key "ttl"'),
        ("zones = [\n {name='a', type='A', value='x', tll=1},\n]\n" + OTHER, 'mesh.toml:2: unknown key "tll" in zones'),
        (RULE + "note = 7\n", "mesh.toml:6: Expected `str`, got `int`, in acl, number 1, note"),
        (OTHER + "[[acl]]\nfrom = 'x'\n", "mesh.toml:3: Object missing required field `to`, in acl, number 1"),
        (OTHER + "[[acl]]\nfrom='*'\nto='*'\nexpires = 2026-11-26T10:00:00\n", "says no zone"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mesh.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as found:
        configtext.read(str(path))
    assert told in str(found.value)
