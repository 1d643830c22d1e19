"""What is said of texts that do not fit: file, line, key, nearest name."""

import tomllib
from enum import StrEnum

import msgspec
import pytest

from pulse import tomlmistakes


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Part(msgspec.Struct, forbid_unknown_fields=True):
    size: int = 0
    colour: Colour | None = None


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    parts: tuple[Part, ...] = ()
    named: dict[str, Part] = {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\npart = 1", 'x.toml:2: unknown key "part". Did you mean parts?'),
        ("[[parts]]\nsiez = 1", 'x.toml:2: unknown key "siez" in parts, number 1. Did you mean size?'),
        ("[[parts]]\n[[parts]]\nsize = 'x'", "x.toml:3: Expected `int`, got `str`, in parts, number 2, size"),
        ("[[parts]]\ncolour = 'gren'", 'x.toml:2: parts, number 1, colour: there is no "gren". Did you mean green?'),
        ("[named.a]\ncolour = 'x'", 'x.toml:2: named, colour: there is no "x". There are: red, green'),
        ("[named.a]\nq = 1", 'x.toml:2: unknown key "q" in named. There are: size, colour'),
    ],
)
def test_a_mistake_is_told_with_line_key_and_nearest_name(text: str, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(tomllib.loads(text), Whole)

    assert tomlmistakes.told("x.toml", text, Whole, str(error.value)) == said


def test_a_part_that_was_read_alone_is_told_by_its_place_in_the_text() -> None:
    said = tomlmistakes.told("x.toml", "[named.a]\nq = 1", Part, "Object contains unknown field `q`", ("named", "a"))

    assert said == 'x.toml:2: unknown key "q" in named, a. There are: size, colour'


def test_a_line_that_is_not_certain_is_left_out() -> None:
    places: dict[tomlmistakes.Path, int] = {("named", "a", "q"): 2, ("named", "b", "q"): 4}

    assert tomlmistakes.at_line(places, ("named", "...", "q")) == ""
    assert tomlmistakes.at_line(places, ("named", "b", "q")) == ":4"
