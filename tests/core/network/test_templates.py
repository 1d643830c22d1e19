"""Templates: what can be one, and the names that machines get by it."""

import pytest

from pulse.core.network.templates import Template, check_template, describe_template, free_name, whole_seconds
from pulse.errors import ConfigError, Refused


@pytest.mark.parametrize(
    ("name", "template", "said"),
    [
        ("Web", Template(), "cannot name a template"),
        ("web", Template(["not a tag"]), "cannot be a tag"),
        ("web", Template(["a", "a"]), "one tag twice"),
        ("web", Template(name="web-*", uses=2), "each of its tokens is for one"),
        ("web", Template(name="web-*-*"), "at most one"),
        ("web", Template(name="*"), "cannot name machines"),
        ("web", Template(name="dead*"), "cannot name machines"),
        ("web", Template(name="be*"), "cannot name machines"),
        ("web", Template(name="\x1b[2J"), "cannot name machines"),
    ],
)
def test_what_is_no_template_is_refused(name: str, template: Template, said: str) -> None:
    with pytest.raises(Refused, match=said):
        check_template(name, template)


def test_a_template_may_say_little_or_much() -> None:
    check_template("all", Template())
    check_template("web", Template(["web", "prod"], "web-*", 3600, 1))
    assert (
        describe_template(Template(["web", "prod"], "web-*", 5400, 1)) == "tags web prod, name web-*, ttl 1h30m, 1 use"
    )
    assert describe_template(Template()) == "nothing"


def test_the_lowest_free_number_is_given() -> None:
    taken = {"web-1", "web-2", "web-4"}
    assert free_name("web-*", taken.__contains__) == "web-3"
    assert free_name("db", taken.__contains__) == "db"
    with pytest.raises(Refused, match="all names like"):
        free_name("web-*", lambda _: True)


def test_a_token_is_good_for_whole_seconds() -> None:
    assert [whole_seconds(each) for each in ("4h", "1h30m", 60.0, None)] == [14400, 5400, 60, None]
    for ttl in (0.5, -1.0, "1.5s", "1000w", float("nan")):
        with pytest.raises(Refused):
            whole_seconds(ttl)
    with pytest.raises(ConfigError):
        whole_seconds("soon")
