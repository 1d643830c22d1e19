"""Streams of real nodes: ssh by ProxyCommand, forwards, and all that has to be refused.

Invariant: the tests run in their order; the last ones leave rules behind, and end the far node.
"""

import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial

import pytest

from pulse import tunnels
from pulse.errors import PulseError
from pulse.lab.host import Running, environment_of, wait_until
from pulse.lab.lab import Lab
from tests.e2e.exchange import noise
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_mesh
from tests.e2e.sshd import Sshd, sshd
from tests.namespace import inside, require_root

SIZE = 100_000_000


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A is CA and scribe, and asks; b is what is reached."""
    require_root()
    with Lab() as lab:
        made = bring_up_mesh(lab, {"b": "a"}, "--socks")
        for name in ("a", "b"):
            made["a"].host.pulse("name", made[name].status().node.id, name)
        yield made
        assert made.errors == []


@pytest.fixture(scope="module")
def there(mesh: Mesh) -> Iterator[Sshd]:
    """A real sshd on b, at loopback alone."""
    with sshd(mesh["b"].host, address="127.0.0.1") as running:
        yield running


def proxied(mesh: Mesh, there: Sshd, command: str) -> list[str]:
    proxy = " ".join(mesh["a"].host.pulse_command("connect", "--node", "b", "--dest", "localhost:22"))
    return there.command("root@b", command, proxy=proxy)


@contextmanager
def forwarding(node: Node, *flags: str) -> Iterator[Running]:
    running = node.host.popen(node.host.pulse_command("forward", *flags))
    wait_until(lambda: "Ctrl-C" in running.text() or running.process.poll() is not None, "it listens", PATIENCE)
    yield running
    if running.process.poll() is None:
        assert running.stop() != 0


@contextmanager
def echoing(node: Node) -> Iterator[int]:
    """A program on the node that sends back what it gets; its port."""
    with inside(node.host.namespace):
        listener = socket.create_server(("", 0))

    def echo(caller: socket.socket) -> None:
        with caller:
            try:
                while data := caller.recv(1 << 18):
                    caller.sendall(data)
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(caller,), daemon=True).start()

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        serving.join(PATIENCE)


def call(node: Node, port: int) -> socket.socket:
    """A connection to a port of the node's own loopback."""
    with inside(node.host.namespace):
        made = socket.socket()
    made.settimeout(PATIENCE)
    try:
        made.connect(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


def is_reset(client: socket.socket) -> bool:
    """True once the connection was cut, as TCP says it. One that ended fails."""
    client.settimeout(0.2)
    try:
        client.sendall(b"x")
        assert client.recv(64) != b"", "a cut is no end"
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return False


def proxied_call(node: Node, name: str, port: int) -> socket.socket:
    """A connection by the node's SOCKS proxy."""
    with ExitStack() as held:
        client = held.enter_context(closing(call(node, 1080)))
        client.sendall(bytes.fromhex("05010005010003") + bytes([len(name)]) + name.encode() + port.to_bytes(2, "big"))
        said = b""
        while len(said) < 12:
            said += client.recv(12 - len(said))
        assert said[3] == 0
        held.pop_all()
    return client


@contextmanager
def connecting(node: Node, far: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A `pulse connect` that leads there, and waits for more to be said."""
    command = node.host.inside(node.host.pulse_command("connect", "--node", far, "--dest", f":{port}"))
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment_of(node.host.directory),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x")
        process.stdin.flush()
        assert process.stdout.read(1) == b"x"
        yield process
        process.kill()


def test_ssh_reaches_a_node_by_proxy_command_and_megabytes_pass_whole(mesh: Mesh, there: Sshd) -> None:
    host = mesh["a"].host
    assert host.run(proxied(mesh, there, "hostname")).stdout == "b\n"
    text = noise("ssh", 4_000_000).hex()
    assert host.run(proxied(mesh, there, "cat"), stdin=text).stdout == text
    assert host.run(proxied(mesh, there, "sha256sum"), stdin=text).stdout.split()[0] == (
        hashlib.sha256(text.encode()).hexdigest()
    )


def test_a_hundred_megabytes_go_through_a_forward_and_come_back_whole(mesh: Mesh) -> None:
    block = os.urandom(1 << 20)
    sent, received, count = hashlib.sha256(), hashlib.sha256(), 0
    with ExitStack() as held:
        port = held.enter_context(echoing(mesh["b"]))
        held.enter_context(forwarding(mesh["a"], "--node", "b", "--dest", f":{port}", "--local", ":7777"))
        client = held.enter_context(closing(call(mesh["a"], 7777)))

        def send() -> None:
            for _ in range(SIZE // len(block)):
                sent.update(block)
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        while data := client.recv(1 << 18):
            received.update(data)
            count += len(data)
        sender.join(PATIENCE)
    assert (count, received.digest()) == (SIZE // len(block) * len(block), sent.digest())


@pytest.mark.parametrize(
    ("node", "destination", "code", "said"),
    [
        ("b", "169.254.169.254:80", 3, "does not connect others to 169.254.169.254:80"),
        ("b", "[fd00:ec2::254]:80", 3, "does not connect others"),
        ("b", "[fe80::1]:80", 3, "does not connect others"),
        ("b", "0.0.0.0:22", 3, "does not connect others"),
        ("b", "[::ffff:127.0.0.1]:22", 3, "does not connect others"),
        ("b", "localhost:8443", 3, "pulse's own ports"),
        ("b", "192.0.2.7:80", 3, "does not connect others"),
        ("b", "localhost:1", 5, "nothing listens at localhost:1 on b"),
        ("b", "no-such-host.invalid:1", 4, 'knows no host "no-such-host.invalid"'),
        ("bb", "localhost:22", 4, "Did you mean b?"),
        ("b", "localhost", 2, "Write host:port"),
        ("a", "localhost:22", 3, "is this node itself"),
    ],
)
def test_what_must_be_refused_is_refused_in_words(
    mesh: Mesh, node: str, destination: str, code: int, said: str
) -> None:
    with pytest.raises(PulseError) as raised:
        tunnels.reach(node, destination, mesh["a"].host.data)
    assert raised.value.exit_code == code
    assert said in str(raised.value)


def test_a_command_ends_with_the_code_and_says_nothing_else(mesh: Mesh) -> None:
    output = mesh["a"].tries("connect", "--node", "b", "--dest", "localhost:1")
    assert (output.code, output.stdout) == (5, "")
    assert output.stderr.startswith("error: nothing listens at localhost:1 on b")


def test_a_rule_that_goes_cuts_what_it_allowed_and_its_absence_is_explained(mesh: Mesh) -> None:
    scribe = mesh["a"]
    with ExitStack() as held:
        port = held.enter_context(echoing(mesh["b"]))
        scribe.host.pulse("acl", "add", "--from", "a", "--to", "b", "--proto", "tcp", "--ports", str(port))
        wait_until(lambda: mesh["b"].config == scribe.config, "b has the rule", PATIENCE)
        running = held.enter_context(forwarding(scribe, "--node", "b", "--dest", f":{port}", "--local", ":7778"))
        clients = [held.enter_context(closing(call(scribe, 7778)))]
        clients.append(held.enter_context(closing(proxied_call(scribe, "b.pulse", port))))
        command = held.enter_context(connecting(scribe, "b", port))
        assert not any(map(is_reset, clients))

        denied = scribe.tries("connect", "--node", "b", "--dest", "localhost:22")
        assert (denied.code, "pulse acl explain a b:22" in denied.stderr) == (3, True)

        scribe.host.pulse("acl", "add", "--from", "a", "--to", "b", "--deny", "--at", "1")
        for each in clients:
            wait_until(partial(is_reset, each), "the stream is cut", PATIENCE)
        assert said_at_the_end(command).startswith(f"error: the stream to localhost:{port} on b")
        with suppress(ConnectionResetError), closing(call(scribe, 7778)) as later:
            wait_until(lambda: is_reset(later), "no other one opens", PATIENCE)
        wait_until(lambda: "the rules do not let a reach b" in running.text(), "the reason is said", PATIENCE)
    assert "streams cut count=3" in scribe.log


def said_at_the_end(command: "subprocess.Popen[bytes]") -> str:
    """What a command that ends with the code of a cut says of it."""
    assert command.wait(PATIENCE) == 5
    assert command.stderr is not None
    return command.stderr.read().decode()


def test_streams_of_a_node_that_is_killed_are_cut_for_the_programs_at_both_ends(mesh: Mesh) -> None:
    """They join b's programs to a's: b dials a, and so hears of a's machine that nothing listens there any more."""
    far, near = mesh["a"], mesh["b"]
    far.host.pulse("acl", "remove", "1")
    far.host.pulse("acl", "add", "--from", "b", "--to", "a", "--proto", "tcp", "--at", "1")
    wait_until(lambda: near.config == far.config, "b has the rules", PATIENCE)
    with ExitStack() as held:
        port = held.enter_context(echoing(far))
        with inside(far.host.namespace):
            listener = held.enter_context(socket.create_server(("", 0)))
        running = held.enter_context(forwarding(near, "--node", "a", "--dest", f":{port}", "--local", ":7779"))
        clients = [held.enter_context(closing(call(near, 7779)))]
        clients.append(held.enter_context(closing(proxied_call(near, "a.pulse", port))))
        command = held.enter_context(connecting(near, "a", port))
        resting = held.enter_context(closing(proxied_call(near, "a.pulse", listener.getsockname()[1])))
        served = held.enter_context(closing(listener.accept()[0]))
        assert not any(map(is_reset, clients))
        far.kill()
        with pytest.raises(ConnectionResetError):
            served.recv(1)
        for each in (*clients, resting):
            wait_until(partial(is_reset, each), "the stream is cut", PATIENCE)
        assert "was cut: that node restarted, was shut out, or cannot be reached" in said_at_the_end(command)
        wait_until(lambda: "pulse why a" in running.text(), "the forward says so, too", PATIENCE)


def test_a_node_that_is_away_is_said_so(mesh: Mesh) -> None:
    output = mesh["b"].tries("connect", "--node", "a", "--dest", "localhost:22")
    assert output.code == 5
    assert output.stderr.startswith("error: a (")
    assert output.stderr.endswith("no path leads there.\nSee which: pulse why a\n")
