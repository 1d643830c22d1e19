"""Examination: what is on disk and in the kernel is seen as it is, and nothing changes by being looked at."""

from pathlib import Path

from tests.examination.conftest import look


def everything(data_dir: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}


def test_a_whole_directory_has_no_problem_and_is_left_as_it_was(data_dir: Path) -> None:
    before = everything(data_dir)

    found = look(data_dir)

    assert (found.member, found.state_problem, found.disk_problem, found.journal_problem) == (True, "", "", "")
    assert (found.holder, found.silence, found.port_problems) == (0, "", ())
    assert found.certificate_until is not None
    assert found.certificate_until > found.wall
    assert everything(data_dir) == before
