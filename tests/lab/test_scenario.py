"""Scenarios: read whole, or refused with file, line, key and nearest name."""

import re
from pathlib import Path

import msgspec
import pytest

from pulse.errors import ConfigError
from pulse.lab.plan import HostPlan, NetworkPlan, PulsePlan
from pulse.lab.scenario import NEEDS, Do, Expectation, Fault, Reached, find, network_number, read, seconds, shipped

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "lab.md"

MESH = """\
[hosts.hub]
pulse = { ca = true }
[hosts.gate]
nat = "symmetric"
[hosts.a]
pulse = {}
at = "gate"
[hosts.desk]
[[networks]]
name = "internet"
hosts = ["hub", "gate", "desk"]
[[networks]]
hosts = ["gate", "a"]
"""
FAULT = MESH + "[[fault]]\n"
EXPECT = MESH + "[[expect]]\n"


def test_what_is_shipped_can_be_played_says_what_it_is_and_expects_something() -> None:
    names = {
        "home-relay", "cone-nats", "symmetric-nats", "cgnat", "udp-blocked", "roaming-laptop", "relay-killed",
        "flaky-link", "site-to-site", "office-lan",
    }  # fmt: skip
    assert set(shipped()) == names
    for each in shipped().values():
        assert each.about
        assert each.expect


def test_faults_and_expectations_are_read() -> None:
    text = FAULT + "do = 'kill'\nhost = 'a'\nat = '1m30s'\n[[expect]]\nfrom = 'hub'\nto = 'a'\nreached = 'no'\n"
    found = read("x.toml", text)

    assert found.fault == (Fault(Do.KILL, at="1m30s", host="a"),)
    assert found.fault[0].moment == 90
    assert str(found.fault[0]) == "kill a"
    assert found.expect == (Expectation("hub", "a", Reached.NO),)
    assert (found.expect[0].words, Expectation("a", "b").words) == ("not at all", "in any way")


def test_a_network_goes_by_its_name_or_number() -> None:
    plan = read("x.toml", MESH)

    assert [network_number(plan, name) for name in ("internet", "0", "1", "2", "")] == [0, 0, 1, None, None]


def test_an_impairment_is_worded_by_what_it_changes() -> None:
    text = FAULT + "do = 'impair'\nnetwork = 'internet'\nimpair = { loss_percent = 2 }\n"

    assert str(read("x.toml", text).fault[0]) == "impair internet loss_percent=2"
    assert str(Fault(Do.IMPAIR, network="0")) == "impair 0 nothing"


def test_a_moment_may_be_the_beginning() -> None:
    assert [seconds(each) for each in ("0s", "0.5s", "1m")] == [0, 0.5, 60]


def test_every_fault_says_what_it_needs() -> None:
    assert set(NEEDS) == set(Do)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FAULT + "do = 'kil'\n", 'x.toml:15: fault, number 1, do: there is no "kil". Did you mean kill?'),
        (FAULT + "do = 'kill'\nhots = 'a'\n", 'x.toml:16: unknown key "hots" in fault, number 1. Did you mean host?'),
        (FAULT + "do = 'kill'\n", "x.toml:14: fault[0]: kill needs host"),
        (FAULT + "do = 'kill'\nhost = 'b'\n", 'x.toml:16: fault[0].host: there is no host "b". Known are: hub'),
        (FAULT + "do = 'kill'\nhost = 'desk'\n", "x.toml:16: fault[0].host: no pulse runs on desk"),
        (FAULT + "do = 'kill'\nhost = 'a'\nto = 'hub'\n", "x.toml:17: fault[0].to: kill has no to (it has: host)"),
        (FAULT + "do = 'kill'\nhost = 'a'\nat = 'soon'\n", 'x.toml:17: fault[0].at: "soon" is no duration'),
        (FAULT + "do = 'rebind'\nhost = 'a'\n", "x.toml:16: fault[0].host: a is no NAT"),
        (FAULT + "do = 'renumber'\nhost = 'hub'\n", "x.toml:16: fault[0].host: say at which router it is"),
        (FAULT + "do = 'carry'\nhost = 'a'\nto = 'hub'\n", "x.toml:17: fault[0].to: no network joins a and hub"),
        (
            FAULT + "do = 'interrupt'\nnetwork = 'intrenet'\nlasting = '1s'\n",
            'x.toml:16: fault[0].network: there is no network "intrenet". Did you mean: internet?',
        ),
        (
            FAULT + "do = 'unplug'\nhost = 'a'\nnetwork = 'internet'\n",
            'x.toml:16: fault[0].host: a is not on network "internet"',
        ),
        (
            FAULT + "do = 'impair'\nnetwork = '0'\nimpair = { loss_percent = 101 }\n",
            "x.toml:17: fault[0].impair.loss_percent: 101 is not between 0 and 100",
        ),
        (EXPECT + "from = 'hub'\nto = 'aa'\n", 'x.toml:16: expect[0].to: there is no host "aa". Did you mean: a?'),
        (EXPECT + "from = 'hub'\nto = 'hub'\n", "x.toml:16: expect[0].to: hub is to reach itself"),
        (EXPECT + "from = 'hub'\nto = 'a'\nreached = 'dirct'\n", 'there is no "dirct". Did you mean direct?'),
        (
            EXPECT + "from = 'hub'\nto = 'desk'\nreached = 'direct'\n",
            "x.toml:16: expect[0].to: no pulse runs on desk, so only yes and no can be expected",
        ),
        (EXPECT + "from = 'hub'\nto = 'a'\nvia = 'hub'\n", "x.toml:17: expect[0].via: only what is relayed"),
        (EXPECT + "from = 'hub'\nto = 'a'\nreached = 'no'\nlink = 'quic'\n", "x.toml:18: expect[0].link: what is not"),
        (EXPECT + "from = 'hub'\nto = 'a'\nwithin = '1'\n", 'x.toml:17: expect[0].within: "1" is no duration'),
        ("[hosts.a]\npulse = {}\n", "x.toml:1: hosts: one pulse founds the mesh by ca = true, not 0"),
        (MESH.replace("pulse = {}", "pulse = { ca = true }"), "hosts: one pulse founds the mesh"),
        (
            MESH.replace("pulse = {}", "pulse = { join = 'hbu' }"),
            'x.toml:6: hosts.a.pulse.join: no pulse runs on "hbu". Did you mean: hub?',
        ),
        (MESH.replace("pulse = {}", "pulse = { join = 'a' }"), "x.toml:6: hosts.a.pulse.join: it joins over another"),
        (MESH.replace('at = "gate"', 'at = "hub"'), 'x.toml:7: hosts.a.at: no network joins it and "hub"'),
        (
            MESH.replace("pulse = {}", "pulse = { settings = { tun = { enabld = true } } }"),
            "x.toml:6: hosts.a.pulse.settings: unknown key tun.enabld. Did you mean: enabled?",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        read("x.toml", text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "says no hosts. Write a table for each, such as [hosts.a]"),
        (b"about = 'x'\n", "says no hosts"),
        (b"\xff", "cannot read lab.toml: it is no text in UTF-8"),
        (b"#" * (1024 * 1024 + 1), "cannot read lab.toml: it is longer than 1048576 bytes"),
    ],
)
def test_a_file_that_describes_no_lab_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=re.escape(said)):
        find("lab.toml")


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot read /dev/zero: it is longer than"):
        find("/dev/zero")


def test_a_byte_order_mark_is_no_part_of_a_description(tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_bytes(b"\xef\xbb\xbf" + MESH.encode())

    assert find(str(file)) == read("lab.toml", MESH)


def test_a_name_that_is_none_of_ours_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"cannot read home-realy: No such file .*Did you mean: home-relay\?"):
        find("home-realy")


def test_the_reference_names_every_key_and_every_fault() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    assert read("lab.md", text.partition("```toml\n")[2].partition("```")[0]).expect

    for kind in (HostPlan, PulsePlan, NetworkPlan, Fault, Expectation):
        for each in msgspec.structs.fields(kind):
            assert f"`{each.encode_name}" in text, f"{kind.__name__}.{each.encode_name}"
    for do in Do:
        assert f"| `{do}` |" in text
    for name in shipped():
        assert f"| `{name}` |" in text
