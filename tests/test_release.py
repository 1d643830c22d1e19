"""Which commit pulse was built of: from what a build wrote, or from git's own files, and never by a guess."""

import subprocess
from pathlib import Path

import pytest

from pulse import release

COMMIT = "148da6073c5f787d810d4a1ef1afd17b93d40651"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package as it lies in a checkout, or in an sdist, which has no .git."""
    package = tmp_path / "src" / "pulse"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    return package


def git(place: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=someone", "-c", "user.email=someone@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=place, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(package: Path) -> Path:
    """The same with one commit."""
    place = package.parents[1]
    git(place, "init", "--quiet")
    git(place, "commit", "--quiet", "--allow-empty", "--message", "first")
    return place


@pytest.mark.parametrize("built", [COMMIT, COMMIT + "+", COMMIT + COMMIT[:24]])
def test_what_was_built_has_the_commit_in_a_file(package: Path, built: str) -> None:
    (package / release.COMMIT_FILE).write_text(built + "\n")

    assert release.commit(package) == built


@pytest.mark.parametrize("text", ["", "main", COMMIT[:12], COMMIT + "++", COMMIT.upper(), "ä"])
def test_a_file_that_names_no_commit_says_nothing(package: Path, text: str) -> None:
    (package / release.COMMIT_FILE).write_text(text)

    assert release.commit(package) == ""


def test_without_file_and_checkout_nobody_knows(package: Path) -> None:
    assert release.commit(package) == ""


def test_a_checkout_is_at_what_git_says(package: Path, checkout: Path) -> None:
    (package / release.COMMIT_FILE).write_text(COMMIT)

    assert release.commit(package) == git(checkout, "rev-parse", "HEAD")


def test_so_is_one_on_no_branch_one_that_was_packed_and_a_second_work_tree(package: Path, checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    git(checkout, "pack-refs", "--all")
    assert release.commit(package) == head

    git(checkout, "worktree", "add", "--quiet", "beside", "-b", "other")
    beside = checkout / "beside"
    (beside / "pyproject.toml").touch()
    git(beside, "commit", "--quiet", "--allow-empty", "--message", "second")
    assert release.commit(beside / "src" / "pulse") == git(beside, "rev-parse", "HEAD") != head

    git(checkout, "checkout", "--quiet", "--detach", "other")
    assert release.commit(package) == git(beside, "rev-parse", "HEAD")


def test_a_repository_around_an_installed_pulse_is_not_ours(package: Path, checkout: Path) -> None:
    (checkout / "pyproject.toml").unlink()

    assert release.commit(package) == ""


@pytest.mark.parametrize(
    ("commit", "told"), [(COMMIT, "148da6073c5f"), (COMMIT + "+", "148da6073c5f+"), ("", "unknown")]
)
def test_people_are_told_twelve_digits(commit: str, told: str) -> None:
    assert release.shown(commit) == told
