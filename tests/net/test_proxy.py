"""The proxy of WebSockets: what the environment says, and what is wrong with it, told without its password."""

import pytest

from pulse.net.proxy import Proxy, from_environment


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "http_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:3128", Proxy("127.0.0.1:3128", "")),
        ("127.0.0.1:3128", Proxy("127.0.0.1:3128", "")),
        ("http://[::1]:3128/", Proxy("[::1]:3128", "")),
        ("http://localhost", Proxy("127.0.0.1:80", "")),
        ("http://u%40x:p%3A@127.0.0.1:8080", Proxy("127.0.0.1:8080", "Basic dUB4OnA6")),
    ],
)
def test_a_proxy_is_an_address_and_perhaps_an_authorization(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: Proxy
) -> None:
    monkeypatch.setenv("https_proxy", url)
    found = from_environment()
    assert found is not None
    assert (found.address.replace("[::1]:80", "127.0.0.1:80"), found.authorization) == (
        expected.address,
        expected.authorization,
    )


def test_without_one_there_is_none() -> None:
    assert from_environment() is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("socks5://u:secret@127.0.0.1:1080", "socks5"),
        ("http://u:secret@no.such.host.invalid:1", ""),
        ("http://u:secret@127.0.0.1:port", ""),
        ("http://", "host"),
    ],
)
def test_one_that_cannot_be_used_is_a_warning_without_its_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str, why: str
) -> None:
    monkeypatch.setenv("https_proxy", url)
    assert from_environment() is None
    (record,) = caplog.records
    assert "https_proxy" in record.message
    assert why in str(record.__dict__["error"])
    assert "secret" not in str(record.__dict__)


def test_who_is_named_in_no_proxy_is_reached_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy("127.0.0.1:3128", "")
    monkeypatch.setenv("no_proxy", "192.0.2.1,intern.example")
    assert proxy.is_bypassed("192.0.2.1:443")
    assert not proxy.is_bypassed("192.0.2.2:443")
