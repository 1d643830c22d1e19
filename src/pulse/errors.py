"""Every error pulse raises on purpose: flat, carrying what a person needs to act.

Invariant: each class maps itself once to an exit code and an HTTP status; nobody else maps them.
"""


class PulseError(Exception):
    """Something pulse can name went wrong; the text says what, to what, and what to do next."""

    exit_code = 1
    http_status = 500


class ConfigError(PulseError):
    """A flag, variable or key of the configuration is wrong; the text names it."""

    exit_code = 2
    http_status = 400


class ProtocolError(PulseError):
    """A peer broke the protocol: its session is dropped and the event counted."""

    http_status = 502


class Refused(PulseError):
    """Policy, token, certificate or network said no."""

    exit_code = 3
    http_status = 403


class NotFound(PulseError):
    """No such node, token, name or command."""

    exit_code = 4
    http_status = 404


class Conflict(PulseError):
    """What was asked for collides with what is there."""

    exit_code = 4
    http_status = 409


class LinkError(PulseError):
    """A node could not be reached; trying again may help."""

    exit_code = 5
    http_status = 503


class SystemRefused(PulseError):
    """The operating system lacks a capability, a device or a feature; the text says which."""

    exit_code = 6
    http_status = 500


class Damaged(PulseError):
    """A state file is not what pulse wrote; the text names it and what to do. It is never replaced in silence."""


class StreamFailed(PulseError):
    """A stream to a destination behind another node did not open; `code` is a StreamCode, `word` its name."""

    exit_code = 5
    http_status = 503

    def __init__(self, text: str, code: int = 0, word: str = "", exit_code: int = 5) -> None:
        """The exit code depends on the stream's."""
        super().__init__(text)
        self.code, self.word, self.exit_code = code, word, exit_code
