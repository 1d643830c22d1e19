"""What the reference has of the SDK: all that programs see, with its signatures and docstrings."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from pulse import sdk
from pulse.sdk import asgi, httpx, pytest, sync

SDK: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("pulse.sdk", tuple(getattr(sdk, name) for name in ("connect", "Mesh", "Server", "Port", "Events", "Node"))),
    ("pulse.sdk.httpx", (httpx.MeshTransport,)),
    ("pulse.sdk.asgi", (asgi.serve,)),
    ("pulse.sdk.sync", (sync.dial, sync.Forwarder)),
    ("pulse.sdk.pytest", (pytest.PulseMesh, pytest.Member)),
)
"""What programs see, by the module they import it from."""

CALLED = (httpx.MeshTransport, sync.Forwarder)
"""Classes that programs make themselves; the others are given to them."""


def page() -> str:
    """All that programs see, with its signatures and docstrings, as Markdown."""
    return "# pulse.sdk\n\nHow it is used: [docs/howto/sdk.md](../howto/sdk.md).\n" + "".join(_modules())


def _modules() -> Iterator[str]:
    for module, things in SDK:
        yield f"\n## {module}\n"
        for thing in things:
            yield from _described(thing, thing.__name__)
            if inspect.isclass(thing):
                for name, member in vars(thing).items():
                    if inspect.isfunction(member) and not name.startswith("_") and member.__doc__:
                        yield from _described(member, f"{thing.__name__}.{name}")
                    elif isinstance(member, classmethod):
                        yield from _described(member.__func__, f"{thing.__name__}.{name}")


def _described(thing: Any, name: str) -> Iterator[str]:
    yield f"\n### {name}\n"
    made = thing.__init__ if thing in CALLED else thing
    if not inspect.isclass(made):
        yield f"```python\n{_signature(made, name)}\n```\n"
    yield f"{inspect.getdoc(thing)}\n"


def _signature(function: Any, name: str) -> str:
    """As it is written in the source."""
    found = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        raise TypeError(f"{name} is no function")
    given = ast.unparse(found.args).removeprefix("self").removeprefix("cls").removeprefix(", ")
    waits = isinstance(found, ast.AsyncFunctionDef) and not found.decorator_list
    said = "" if found.name == "__init__" or found.returns is None else f" -> {ast.unparse(found.returns)}"
    return f"{'await ' if waits else ''}{name}({given}){said}"
