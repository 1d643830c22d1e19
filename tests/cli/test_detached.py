"""The pipe by which a detached node reports."""

import os

import msgspec
import pytest

from pulse.cli.detached import Failed, Report, Step, Up
from pulse.errors import SystemRefused


def lines_of(reader: int) -> list[object]:
    with os.fdopen(reader, "rb") as pipe:
        return [msgspec.json.decode(line, type=Step | Up | Failed) for line in pipe]


def test_a_report_ends_with_its_verdict() -> None:
    reader, writer = os.pipe()
    report = Report(writer)
    report.step("reached relay:1")
    report.failed(SystemRefused("no TUN.\nUse sudo"))
    report.step("too late")

    assert lines_of(reader) == [Step("reached relay:1"), Failed("SystemRefused", "no TUN.\nUse sudo")]


def test_nobody_listening_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    report = Report(writer)

    report.step("reached relay:1")
    report.close()


def test_the_pipe_goes_to_no_child_of_the_node() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    report = Report(writer)

    assert not os.get_inheritable(writer)
    report.close()
    os.close(reader)


@pytest.mark.parametrize("text", ["ä", 'a "quoted"\nline'])
def test_words_arrive_as_they_were_said(text: str) -> None:
    reader, writer = os.pipe()
    Report(writer).failed(SystemRefused(text))

    assert lines_of(reader) == [Failed("SystemRefused", text)]
