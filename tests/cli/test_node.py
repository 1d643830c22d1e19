"""`pulse id`, `cert`, `ping` against a control socket."""

import json

from pulse.errors import LinkError
from pulse.schemas.node import PingRequest
from tests.api.fake_control import CA_HASH, FakeControl
from tests.api.fake_ways import ID
from tests.cli.shell import Shell


def test_id_shows_the_whole_id_and_the_mesh_addresses(shell: Shell, control: FakeControl) -> None:
    done = shell.node("id")

    assert done.code == 0
    assert ID in done.out
    assert "10.100.41.7  fd7a::33" in done.out
    assert "mynet, CA a91f 22c0 77e4" in done.out
    assert done.out.endswith("roles      ca scribe\ntags       infra\n")


def test_cert_says_until_when_and_how_far_the_ca_is_known(shell: Shell, control: FakeControl) -> None:
    done = shell.node("cert")

    assert "1970-01-01 to 1970-03-23, 81 d left" in done.out
    assert "checked at join" in done.out


def test_ping_says_who_answered_how_fast_and_by_what_way(shell: Shell, control: FakeControl) -> None:
    done = shell.node("ping", "db-server", "-c", "1")

    assert (done.code, done.out) == (0, "db-server (10.100.87.53) answered in 22.8 ms by quic\n")
    assert control.asked == [PingRequest("db-server", 5.0)]


def test_several_pings_are_summed_up(shell: Shell, control: FakeControl) -> None:
    done = shell.node("ping", "db-server", "-c", "2")

    assert done.out.splitlines()[-1] == "2 of 2 answered: 22.8 ms at best, 22.8 ms on average"


def test_ping_speaks_json_one_object_an_answer(shell: Shell, control: FakeControl) -> None:
    lines = shell.node("ping", "db-server", "-c", "2", "--json").out.splitlines()

    assert [json.loads(line)["rtt"] for line in lines] == [0.0228, 0.0228]


def test_no_answer_at_all_is_an_error(shell: Shell, control: FakeControl) -> None:
    done = shell.node("ping", "cam-7", "-c", "2")

    assert done.code == LinkError.exit_code
    assert done.err == "error: cam-7 did not answer within 1 s\n"


def test_a_ping_of_no_times_is_refused(shell: Shell) -> None:
    assert shell.node("ping", "cam-7", "-c", "0").code == 2


def test_id_in_json_has_the_ca_hash(shell: Shell, control: FakeControl) -> None:
    assert json.loads(shell.node("id", "--json").out)["ca_hash"] == CA_HASH


def test_the_fleets_certificates_come_by_their_end_with_what_is_to_be_done(shell: Shell, control: FakeControl) -> None:
    lines = shell.node("cert", "--fleet").out.splitlines()

    assert [line.split()[0] for line in lines] == ["NODE", "cam-7", "db", "relay-01", "2"]
    assert "ended  away: it renews by itself" in lines[1]
    assert "6 d  not renewed although it is reached: does it reach the CA? pulse why db" in lines[2]
    assert lines[3].endswith("81 d")
    assert lines[4] == "2 of 3 to see to; the others renew by themselves."
    assert [each["name"] for each in json.loads(shell.node("cert", "--fleet", "--json").out)] == [
        "cam-7",
        "db",
        "relay-01",
    ]
