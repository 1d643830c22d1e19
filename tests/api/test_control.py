"""What can be asked of a node is all asked of it, in the file that has the name of the resource."""

import inspect
import typing
from pathlib import Path

import pytest

from pulse import api
from pulse.api.control import Control

RESOURCES = typing.get_type_hints(Control)


@pytest.mark.parametrize("field", RESOURCES)
def test_every_question_of_a_resource_is_asked_by_the_file_of_its_name(field: str) -> None:
    questions = [name for name, _ in inspect.getmembers(RESOURCES[field], inspect.iscoroutinefunction)]
    asking = (Path(api.__path__[0]) / f"{field}.py").read_text()

    assert questions
    assert [each for each in questions if f"control.{field}.{each}(" not in asking] == []
