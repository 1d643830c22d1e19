"""The dashboard: the files of `pulse.web`, served beside the API; they hold nothing secret, so they take no key.

Invariant: what is served was read at the start, by names known then: no path of a request leads to the disk. A page
runs what comes from here and nothing else, and makes no markup out of text.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

FILES: Final = Path(__file__).parents[1] / "web"
INDEX: Final = "index.html"
PREFIX: Final = "/web/"

_KINDS: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

_RULES: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _RULES,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
"""What browsers are told of each file, beside what every answer tells them (`pulse.api.sites`)."""


@dataclass(frozen=True, slots=True)
class WebFile:
    """One file, ready to be sent."""

    content: bytes
    kind: str
    etag: str


def read(place: Path = FILES) -> dict[str, WebFile]:
    """What is served, by the path it is asked for."""
    found = {f"{PREFIX}{path.name}": _file(path) for path in sorted(place.iterdir()) if path.suffix in _KINDS}
    return {"/": found.pop(f"{PREFIX}{INDEX}"), **found}


def _file(path: Path) -> WebFile:
    content = path.read_bytes()
    return WebFile(content, _KINDS[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


class Dashboard:
    """Answers for the files it knows by name, and passes on all else."""

    def __init__(self, app: ASGIApp, files: Mapping[str, WebFile]) -> None:
        """Stand before `app`."""
        self._app, self._files = app, files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        file = self._files.get(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        answer = _answer(file, Headers(scope=scope).get("if-none-match", "")) if file else self._app
        await answer(scope, receive, send)


def _answer(file: WebFile, held: str) -> Response:
    headers = {**HEADERS, "ETag": file.etag}
    if file.etag in (each.strip().removeprefix("W/") for each in held.split(",")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(file.content, headers=headers, media_type=file.kind)
