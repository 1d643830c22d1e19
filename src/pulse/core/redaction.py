"""Takes out of a text what others must not read: keys, tokens, invites, passwords and, if wanted, addresses.

Invariant: a secret that is known goes wherever it stands; one that is not known goes by its shape or by its name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

HIDDEN: Final = "(hidden)"

LEAST: Final = 8
"""Characters of a secret that is looked for as it is: shorter ones stand in words."""

_NAMES: Final = (
    r"(?:[a-z_]*tokens?|[a-z_]*secrets?|[a-z_]*passwords?|passwd|[a-z_]*passphrase|pass|pwd|[a-z_]*credentials?|invite"
    r"|private_key|psk|api[_-]?key|(?:proxy-)?authorization|(?:set-)?cookie)"
)
_LONG_TEXT: Final = r"\"{3}.*?\"{3}|'{3}.*?'{3}"
_QUOTED: Final = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'"
_LIST: Final = rf"\[(?:{_QUOTED}|[^\]\"'])*\]"
_BARE: Final = r"(?<==)[^\s\"']\S*|[^\s,}\]]+"
"""After `=` as a shell has it, to the next space; else as JSON has it."""
_NAMED = re.compile(rf"(?is)\b({_NAMES})(\"?'?\s*[=:]\s*)({_LONG_TEXT}|{_QUOTED}|{_LIST}|{_BARE})")
_ALWAYS = re.compile(r"(?i)secret|passw|passphrase|pwd|psk|private_key|credential")
"""Names of what is a secret whatever it looks like."""
_IS_NAME = re.compile(rf"(?i){_NAMES}")
_KEY = re.compile(r"(?i)\b((?:[a-z_]*_)?key)(\"?'?\s*[=:]\s*\"?'?)([0-9A-Za-z+/_=-]{16,})")
"""What is called a key and long enough for one; most keys are names, or columns to sort by."""
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)(\s*:\s*)([^\s\"'][^\n\"']*)")
_FLAG = re.compile(r"(?i)(--[a-z-]*(?:token|secret|password|invite|key))([= ]+)(\S+)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/_=.-]{8,}")
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_SHAPED = re.compile(r"pl[sk]_[A-Za-z0-9_-]{8,}|\b[A-Za-z0-9_-]{32,}\.[0-9a-f]{64}\b")
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s\"'<>]+@")
"""All before the last @: passwords have slashes and @ in them, and some users are tokens."""
_LONG = re.compile(r"(?<![\w/+.-])[A-Za-z0-9+/_-]{32,}={0,2}(?![\w/+-])")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_MAC = re.compile(r"(?i)(?<![\w:])(?!(?:00:){5}00|(?:ff:){5}ff)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![\w:])")
_HOST = re.compile(
    r"(?i)(?<![\w.-])(?:(?<=://)|(?<=@)|(?=[\w.-]+:\d))"
    r"(?!(?:[\w-]+\.)+(?:py|toml|log|json|pem|sock|conf|service|rs)\b)((?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]+)(?![\w.-])"
)
"""A name with dots behind `://` or `@`, or with a port; `config.toml:3` is a line of a file."""
_V4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_V6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")


@dataclass(slots=True)
class Redactor:
    """Redacts the texts of one report: an address has the same word in all of them."""

    secrets: frozenset[str]
    """Known ones."""
    hosts: frozenset[str] = frozenset()
    """Names that count as addresses."""
    addresses: bool = True
    """Addresses may stay."""
    _words: dict[str, str] = field(default_factory=dict)

    def cleaned(self, text: str) -> str:
        """The text without them."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) >= LEAST:
                text = text.replace(secret, HIDDEN)
        text = _PEM.sub(HIDDEN, text)
        text = _SHAPED.sub(HIDDEN, text)
        text = _USER.sub(rf"\1{HIDDEN}@", text)
        text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
        text = _FLAG.sub(rf"\1\2{HIDDEN}", text)
        text = _BEARER.sub(rf"\1 {HIDDEN}", text)
        text = _NAMED.sub(self._named, text)
        text = _KEY.sub(rf"\1\2{HIDDEN}", text)
        text = _LONG.sub(lambda found: found[0] if _is_plain(found[0]) else HIDDEN, text)
        return text if self.addresses else self._anonymous(text)

    @staticmethod
    def _named(found: re.Match[str]) -> str:
        quote = found[3][0] if found[3][:1] in "\"'" else ""
        # Numbers, switches and what is empty are no secrets, and tell something.
        plain = found[3].strip("\"'").rstrip(",;")
        tells = plain in ("", "true", "false", "null", "None", "[]", "{", HIDDEN)
        if tells or (plain.isdecimal() and len(plain) < LEAST and not _ALWAYS.search(found[1])):
            return found[0]
        return f"{found[1]}{found[2]}{quote}{HIDDEN}{quote}"

    def _anonymous(self, text: str) -> str:
        for host in sorted(self.hosts, key=len, reverse=True):
            text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", self._word(host, "host"), text)
        text = _HOST.sub(lambda found: self._word(found[0].lower(), "host"), text)
        text = _MAC.sub(lambda found: self._word(found[0].lower(), "mac"), text)
        for pattern in (_V4, _V6):
            text = pattern.sub(self._address, text)
        return text

    def _address(self, found: re.Match[str]) -> str:
        try:
            address = ip_address(found[0])
        except ValueError:
            return found[0]
        return found[0] if address.is_loopback or address.is_unspecified else self._word(found[0], "address")

    def _word(self, text: str, kind: str) -> str:
        return self._words.setdefault(text, f"{kind}-{len(self._words) + 1}")


def names_secret(name: str) -> bool:
    """True if what is called so is one."""
    return _IS_NAME.fullmatch(name) is not None


def known(values: Iterable[str]) -> frozenset[str]:
    """Secrets as they may stand somewhere: whole, and line by line."""
    return frozenset(line.strip() for value in values for line in (value, *value.splitlines()) if line.strip())


def _is_plain(word: str) -> bool:
    """True of ids, words and paths: random text has digits and letters of both cases."""
    if _HEX.fullmatch(word):
        return True
    kinds = (any(map(str.isdigit, word)), any(map(str.islower, word)), any(map(str.isupper, word)))
    return not all(kinds)
