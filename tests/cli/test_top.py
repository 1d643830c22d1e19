"""`pulse top` where it cannot be shown, and which node it shows."""

from pathlib import Path

import pytest

from pulse.cli.top import _url
from pulse.errors import LinkError, NotFound
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_without_a_terminal_it_names_what_programs_use(shell: Shell, control: FakeControl) -> None:
    done = shell.node("top")
    assert done.code == 2
    assert "pulse status --json" in done.err


def test_a_node_elsewhere_is_named_as_everywhere_or_by_its_url(shell: Shell, control: FakeControl) -> None:
    assert _url("relay-01.pulse", shell.data_dir) == "http://10.100.41.7:8080"
    assert _url("https://relay.example.com", None) == "https://relay.example.com"


def test_a_name_that_nobody_has_is_refused(shell: Shell, control: FakeControl) -> None:
    with pytest.raises(NotFound, match="relay-99 is not in this mesh"):
        _url("relay-99", shell.data_dir)


def test_where_no_node_runs_that_could_know_the_name_the_url_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="say where the API of relay-01 is: --node http://"):
        _url("relay-01", tmp_path)
