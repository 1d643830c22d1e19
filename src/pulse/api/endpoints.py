"""One endpoint of the API as a value: method, path, and the types it hears and says.

The types are read off the handler's signature, so the OpenAPI document cannot disagree with the code.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from pulse.core.trust.apikeys import Scope

LOCAL: Final = None
"""The scope of what no key is good for: it is answered on the control socket alone."""

GRANTED: Final = "pulse.granted"
"""Where in a request's ASGI scope that of its key stands, if it came with one."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Stamped(Generic[_T]):
    """An answer with its entity tag."""

    said: _T
    etag: str


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that is no JSON."""

    text: str
    kind: str
    """Its media type."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`handler(control, request)`; a third argument named `body` or `query` says what it hears, and where."""

    method: str
    path: str
    handler: Callable[..., Awaitable[object]]
    scope: Scope | None = LOCAL
    """What a key must be good for over TCP."""
    status: int = 200
    precondition: bool = False
    """It wants If-Match."""

    def refusal(self, granted: Scope) -> str:
        """Why a key of that scope is not good for it; empty if it is."""
        if self.scope is not LOCAL and granted.covers(self.scope):
            return ""
        return f"this key is good for {granted} alone, and this takes one for {self.scope or 'the node itself'}"

    @property
    def body(self) -> Any:
        """What it hears as JSON, or None."""
        return typing.get_type_hints(self.handler).get("body")

    @property
    def query(self) -> type[msgspec.Struct] | None:
        """What it hears after the question mark, or None."""
        return typing.get_type_hints(self.handler).get("query")

    @property
    def answer(self) -> Any:
        """What it says."""
        said = typing.get_type_hints(self.handler)["return"]
        return typing.get_args(said)[0] if self.is_stamped else said

    @property
    def is_written(self) -> bool:
        """True if it says so in plain text."""
        return self.answer is Written

    @property
    def is_stamped(self) -> bool:
        """True if it says so with an entity tag."""
        return typing.get_origin(typing.get_type_hints(self.handler)["return"]) is Stamped

    @property
    def summary(self) -> str:
        """The handler's docstring."""
        return inspect.getdoc(self.handler) or ""
