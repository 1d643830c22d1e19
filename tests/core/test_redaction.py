"""Redaction: what is secret goes, by what it is, by its shape or by its name; what tells something stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.redaction import Redactor, known

TOKEN = "k7Qp2vXz9LmN4rTb8WcY1sDf6GhJ3aE5"
PRINTED = "Zm9v" * 10 + "aB1." + "a" * 64
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIH9\nabc\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"join pls_{TOKEN} now", TOKEN),
        (f"said {PRINTED} aloud", PRINTED),
        (f"key plk_{TOKEN}", TOKEN),
        (PEM, "MC4CAQAwBQYDK2VwBCIEIH9"),
        (PEM[:60], "MC4CAQAwBQ"),
        ('join_token = "short one"', "short one"),
        ("token: 'hunter22'", "hunter22"),
        ('{"password":"a \\" b"}', "a \\"),
        ("--ca-token hunter22 --tun", "hunter22"),
        ("--token=hunter22", "hunter22"),
        ("Authorization: Bearer abcdef.ghij", "abcdef.ghij"),
        ("https_proxy=http://me:pw12@proxy:3128", "pw12"),
        (f"something {TOKEN} bare", TOKEN),
        ('password = "20261126"', "20261126"),
        ("password = 1234", "1234"),
        ('tcp_token = """abcDEF123456789"""', "abcDEF123456789"),
        ('password = """\nhunter2hunter2"""', "hunter2hunter2"),
        ("password = (x)secret99", "secret99"),
        ("http://u:p@ss/x@proxy:3128", "ss/x"),
        ("https://ghp0token@host/", "ghp0token"),
        ("PASSWORD=ab,cd", "cd"),
        ("key=" + "0a" * 32, "0a0a"),
        ('tokens=["one two", "thr]ee"]', "ee"),
        ("passphrase=hunter22", "hunter22"),
        ("pwd=hunter22", "hunter22"),
        ("pass: hunter22", "hunter22"),
        ("credentials=hunter22", "hunter22"),
        ("Cookie: session=hunter22; b=more", "more"),
        ("Authorization: Token hunter22", "hunter22"),
        ('{"authorization": "Token hunter22"}', "hunter22"),
    ],
)
def test_a_secret_goes_by_its_shape_or_its_name(text: str, secret: str) -> None:
    cleaned = Redactor(frozenset()).cleaned(text)

    assert secret not in cleaned
    assert "(hidden)" in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "node up node=4be27a3391c0 listen=:443",
        f'"id": "{"4be27a3391c0" * 5}abcd"',
        "token_file = ",
        '"tokens": 3, "token": null, "master_token": false',
        "/usr/lib/python3.11/site-packages/pulse/core/paths/neighbours_and_so_on.py",
        "INFO certificate renewed until=2026-11-22T10:00:00",
        "control.socket: /run/pulse/pulse.sock, 10.100.0.1 and fd7a::1",
        "(hidden)",
        'sorted by key=name, {"key":"name","tokens":[],"token":null,"more":1}',
        "https://example.com/a/path of me@example.com",
    ],
)
def test_what_tells_something_stays(text: str) -> None:
    assert Redactor(frozenset()).cleaned(text) == text


SECRET = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=8, max_size=60)


@given(SECRET, st.text(max_size=50))
def test_a_known_secret_goes_wherever_it_stands(secret: str, around: str) -> None:
    cleaned = Redactor(known([secret])).cleaned(f"{around}{secret}{around}")

    assert secret not in cleaned or secret in "(hidden)"


def test_addresses_become_words_that_tell_them_apart() -> None:
    cleaner = Redactor(frozenset(), frozenset({"relay.example.com"}), addresses=False)

    first = cleaner.cleaned("10.100.0.1 to 192.0.2.7:443, [fd7a:91c2::33]:8443, 127.0.0.1, relay.example.com:443")
    again = cleaner.cleaned("192.0.2.7/24 again, at 10:00:00")

    for each in ("10.100.0.1", "192.0.2.7", "fd7a", "relay.example.com"):
        assert each not in first + again
    assert "127.0.0.1" in first
    assert "10:00:00" in again
    word = first.split(" to ")[1].split(":")[0]
    assert again.startswith(word)


def test_hardware_addresses_and_names_of_hosts_become_words_too() -> None:
    cleaner = Redactor(frozenset(), addresses=False)

    cleaned = cleaner.cleaned(
        "link/ether 52:54:00:ab:CD:01 brd ff:ff:ff:ff:ff:ff, https://proxy.example.com:3128, db.example.org:5432, "
        "config.toml:3, at 10:00:00"
    )

    for each in ("52:54", "proxy.example.com", "db.example.org"):
        assert each not in cleaned
    for each in ("brd ff:ff:ff:ff:ff:ff", "config.toml:3", "10:00:00"):
        assert each in cleaned
