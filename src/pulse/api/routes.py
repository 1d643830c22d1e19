"""One endpoint of the API as a value: method, path, and the types it hears and says.

The types are read off the handler's signature, so the OpenAPI document cannot disagree with the code.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`handler(control, request)`; a third argument named `body` or `query` says what it hears, and where."""

    method: str
    path: str
    handler: Callable[..., Awaitable[object]]
    status: int = 200

    @property
    def body(self) -> type[msgspec.Struct] | None:
        """What it hears as JSON, or None."""
        return typing.get_type_hints(self.handler).get("body")

    @property
    def query(self) -> type[msgspec.Struct] | None:
        """What it hears after the question mark, or None."""
        return typing.get_type_hints(self.handler).get("query")

    @property
    def answer(self) -> Any:
        """What it says."""
        return typing.get_type_hints(self.handler)["return"]

    @property
    def summary(self) -> str:
        """The handler's docstring."""
        return inspect.getdoc(self.handler) or ""
