"""Command lines as people type them on lab hosts."""

from pulse.lab.host import Output, Running, wait_until
from tests.e2e.mesh import PATIENCE, Node


def types(node: Node, line: str) -> Output:
    """What a command line came to."""
    return node.host.run(["sh", "-c", line], check=False)


def serves(node: Node, line: str) -> Running:
    """Type a command line that stays in the foreground, and wait until its node is up."""
    server = node.host.popen(["sh", "-c", f"exec {line}"])
    wait_until(lambda: "listening" in server.text() or server.process.poll() is not None, "it is up", PATIENCE)
    assert server.process.poll() is None, server.text()
    return server
