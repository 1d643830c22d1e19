"""Programs reach other nodes over a relay by the proxy of their own: curl, ssh, python-socks, and what they are told.

Invariant: the tests run in their order; the last one stops the far node.
"""

import hashlib
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from python_socks.sync import Proxy

from pulse.lab.host import Output, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import RELAY
from tests.e2e.exchange import noise
from tests.e2e.mesh import PATIENCE, Mesh, bring_up_relay
from tests.e2e.sshd import sshd
from tests.namespace import inside, require_root

PROXY = "127.0.0.1:1080"
WEB, CLOSED, SSH = 8000, 8001, 2222
SIZE = 50 << 20

SOCKS = ("--socks5-hostname", PROXY)
HTTP = ("--proxytunnel", "--proxy", f"http://{PROXY}")


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """Left and right reach each other over the relay alone; right serves `/big` and `/small` at port 8000."""
    require_root()
    with Lab(RELAY) as lab:
        made = bring_up_relay(lab, "--socks")
        files = lab["right"].directory / "files"
        files.mkdir()
        (files / "big").write_bytes(noise("big", SIZE))
        (files / "small").write_bytes(b"hello\n")
        lab["right"].popen([sys.executable, "-m", "http.server", str(WEB), "--bind", "::", "--directory", str(files)])
        served = made["right"].host
        wait_until(
            lambda: served.run(["curl", "-s", f"http://[::1]:{WEB}/small"], check=False).code == 0, "right serves"
        )
        yield made
        assert made.errors == []


def curl(mesh: Mesh, *words: str) -> Output:
    """What curl on left says; it does not wait longer than anything may take."""
    return mesh["left"].host.run(["curl", "-sS", "--max-time", str(PATIENCE), *words], check=False)


def code(output: Output) -> int:
    """The code of SOCKS5 with which curl says that it was refused."""
    found = re.search(r"SOCKS5 connection to \S+ \((\d+)\)", output.stderr)
    assert found, output
    return int(found[1])


@pytest.mark.parametrize("way", [SOCKS, HTTP], ids=["SOCKS5", "HTTP CONNECT"])
def test_fifty_megabytes_arrive_whole_by_a_name_under_the_nodes_own(mesh: Mesh, way: tuple[str, ...]) -> None:
    big = mesh["left"].host.directory / "big"
    done = curl(mesh, *way, "--output", str(big), f"http://files.right.pulse:{WEB}/big")

    assert (done.code, done.stderr) == (0, "")
    assert hashlib.sha256(big.read_bytes()).digest() == hashlib.sha256(noise("big", SIZE)).digest()


def test_addresses_and_ids_lead_there_too(mesh: Mesh) -> None:
    node = mesh["right"].status().node
    said = [
        curl(mesh, *way, f"http://{host}:{WEB}/small").stdout
        for way, host in (
            (("--socks5", PROXY), node.v4),
            (("--socks5", PROXY), f"[{node.v6}]"),
            (SOCKS, node.id[:12]),
            (HTTP, f"[{node.v6}]"),
        )
    ]

    assert said == ["hello\n"] * 4


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_python_socks_is_let_through(mesh: Mesh, scheme: str) -> None:
    with inside(mesh["left"].host.namespace):
        made: socket.socket = Proxy.from_url(f"{scheme}://{PROXY}").connect("right.pulse", WEB, timeout=PATIENCE)
    with closing(made):
        made.sendall(b"GET /small HTTP/1.0\r\n\r\n")
        assert made.makefile("rb").read().endswith(b"\r\n\r\nhello\n")


def test_ssh_logs_in_over_netcat_as_its_proxy_command(mesh: Mesh) -> None:
    command = "hostname; head -c 1000000 /dev/zero | md5sum"
    with sshd(mesh["right"].host, SSH) as far:
        typed = far.command("root@right.pulse", command, proxy=f"nc -X 5 -x {PROXY} %h %p")
        said = mesh["left"].host.run(typed).stdout.split()

    assert said == ["right", hashlib.md5(bytes(1_000_000)).hexdigest(), "-"]  # noqa: S324 (as md5sum has it)


@pytest.mark.parametrize(
    ("url", "socks", "status"),
    [
        (f"http://right.pulse:{CLOSED}/", 5, 502),
        (f"http://nobody.pulse:{WEB}/", 4, 502),
        (f"http://10.100.255.254:{WEB}/", 4, 502),
        ("http://example.com/", 3, 502),
        ("http://192.0.2.1/", 3, 502),
        ("http://127.0.0.1/", 2, 403),
        ("http://169.254.169.254/", 2, 403),
        (f"http://left.pulse:{WEB}/", 2, 403),
        ("http://right.pulse:8443/", 2, 403),
    ],
)
def test_what_is_refused_is_told_by_code_and_status(mesh: Mesh, url: str, socks: int, status: int) -> None:
    assert code(curl(mesh, *SOCKS, url)) == socks
    refused = curl(mesh, *HTTP, "-v", url)
    assert (refused.code, f"response {status}" in refused.stderr) == (56, True), refused
    assert re.search(r'Proxy-Status: pulse; error=\w+; details="[^"]', refused.stderr)


def test_a_web_page_that_is_asked_of_the_proxy_is_a_sentence(mesh: Mesh) -> None:
    said = curl(mesh, "--proxy", f"http://{PROXY}", "--include", f"http://right.pulse:{WEB}/small").stdout

    assert said.startswith("HTTP/1.1 405 Method Not Allowed")
    assert "passes on connections" in said


def test_a_thousand_half_open_connections_stop_nobody(mesh: Mesh) -> None:
    with ExitStack() as flood:
        with inside(mesh["left"].host.namespace):
            for number in range(1000):
                half = flood.enter_context(socket.create_connection(("127.0.0.1", 1080), PATIENCE))
                half.send(b"\x05\x01\x00\x05"[: number % 5])
        assert curl(mesh, *SOCKS, f"http://right.pulse:{WEB}/small").stdout == "hello\n"
    assert curl(mesh, *HTTP, f"http://right.pulse:{WEB}/small").stdout == "hello\n"


def test_what_the_rules_deny_is_not_allowed(mesh: Mesh) -> None:
    far = mesh["right"].status().node.id
    said = mesh["relay"].host.pulse("acl", "add", "--from", "*", "--to", far, "--ports", "22").stdout
    version = said.split()[-1]
    wait_until(lambda: all(node.config == version for node in mesh.nodes.values()), f"{version} is all over", PATIENCE)

    assert code(curl(mesh, *SOCKS, f"http://right.pulse:{WEB}/small")) == 2
    refused = curl(mesh, *HTTP, f"http://right.pulse:{WEB}/small")
    assert (refused.code, "response 403" in refused.stderr) == (56, True)
    assert code(curl(mesh, *SOCKS, "http://right.pulse:22/")) == 5, "the rule lets it through, and nothing listens"


def test_a_node_that_is_gone_is_unreachable_within_seconds(mesh: Mesh) -> None:
    mesh["right"].stop()

    assert code(curl(mesh, *SOCKS, "http://right.pulse:22/")) in (1, 4)
    wait_until(lambda: not mesh["left"].has_path(mesh["right"]), "no path leads there", PATIENCE)
    away = curl(mesh, *HTTP, "-v", "http://right.pulse:22/")
    assert "error=destination_unavailable" in away.stderr
    assert "cannot be reached now: it is off, or no path leads there." in away.stderr
