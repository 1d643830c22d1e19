"""Makes, lists and revokes the keys to the scribe's HTTP API, and judges what a program shows there.

Invariant: a key counts once its hash is on disk and until its revocation is; the key itself is told once and kept
nowhere.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pulse import clock
from pulse.core.likeness import meant
from pulse.core.messages import printable
from pulse.core.trust.apikeys import MOST_KEYS, ApiKey, Scope, digest, find, is_key_name, key_from
from pulse.core.trust.tokens import SECRET_BYTES
from pulse.errors import Conflict, NotFound, Refused
from pulse.schemas.apikeys import ApiKeyCreated, ApiKeyInfo, ApiKeyRequest
from pulse.store import apikeys

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ApiKeysService:
    """The keys of one node."""

    data_dir: Path
    _keys: tuple[ApiKey, ...] = field(default=(), init=False)
    _hearers: list[Callable[[], None]] = field(default_factory=list, init=False)

    @classmethod
    def restored(cls, data_dir: Path) -> "ApiKeysService":
        """Those of an earlier run hold again."""
        service = cls(data_dir)
        service._keys, warning = apikeys.load(data_dir)
        if warning:
            log.warning("API keys lost", extra={"error": warning})
        return service

    def tell_revoked(self, whom: Callable[[], None]) -> None:
        """Call `whom` each time a key was revoked: what it opened may be open still."""
        self._hearers.append(whom)

    def judge(self, text: str) -> Scope | None:
        """What the key `text` is good for; None if it is none of ours."""
        key = find(self._keys, text)
        return key.scope if key else None

    async def create(self, wanted: ApiKeyRequest) -> ApiKeyCreated:
        """Make a key. Raises Refused, Conflict, or SystemRefused for a disk that refuses."""
        if not is_key_name(wanted.name):
            raise Refused(
                f"{printable(wanted.name)!r} cannot name a key: "
                "letters, digits and inner . _ -, 63 at most. Name it after the program that uses it"
            )
        if any(key.name == wanted.name for key in self._keys):
            raise Conflict(
                f"there is a key named {wanted.name} already.\n"
                f"Take another name, or revoke that one first: pulse api-key revoke {wanted.name}"
            )
        if len(self._keys) >= MOST_KEYS:
            raise Refused(f"there are {MOST_KEYS} keys, and no more can be. Revoke one: pulse api-key revoke <name>")
        text = key_from(secrets.token_bytes(SECRET_BYTES))
        made = ApiKey(digest(text), wanted.name, Scope(wanted.scope), clock.wall())
        self._keep((*self._keys, made))
        return ApiKeyCreated(text, _told(made))

    async def all(self) -> list[ApiKeyInfo]:
        """Every key, oldest first."""
        return [_told(key) for key in self._keys]

    async def revoke(self, named: str) -> ApiKeyInfo:
        """End a key, by its name or the first digits of its id. Raises NotFound, Conflict, or SystemRefused."""
        key = self._meant(named)
        self._keep(tuple(each for each in self._keys if each is not key))
        for whom in self._hearers:
            whom()
        return _told(key)

    # Details

    def _meant(self, named: str) -> ApiKey:
        found = [key for key in self._keys if key.name == named] or [
            key for key in self._keys if named and key.key_id.startswith(named)
        ]
        if not found:
            near = meant(named, (key.name for key in self._keys))
            raise NotFound(f'no key is named "{printable(named)}" or begins so.{near} See them: pulse api-key list')
        if len(found) > 1:
            names = ", ".join(key.name for key in found)
            raise Conflict(f"{len(found)} keys begin with {named} ({names}). Give a name")
        return found[0]

    def _keep(self, keys: tuple[ApiKey, ...]) -> None:
        apikeys.save(self.data_dir, keys)
        self._keys = keys


def _told(key: ApiKey) -> ApiKeyInfo:
    return ApiKeyInfo(key.key_id, key.name, key.scope.value, key.created)
