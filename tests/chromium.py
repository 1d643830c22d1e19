"""A Chromium that is driven as a person would: over the debugging pipe, which needs no port and no other program."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

PATIENCE: Final = 30.0

_PROGRAMS: Final = ("chromium-headless-shell", "chromium")
_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank",
)  # fmt: skip

Wrapped = Callable[[Sequence[str]], list[str]]
"""A command as it is run elsewhere, such as in a network namespace."""


@dataclass
class Page:
    """One page, and what it wrote to the console or did not catch."""

    asking: int
    telling: int
    session: str = ""
    said: list[str] = field(default_factory=list)
    _number: int = 0
    _held: bytes = b""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol. Raises AssertionError if it fails."""
        self._number += 1
        wanted = {"id": self._number, "method": method, "params": params}
        if self.session:
            wanted["sessionId"] = self.session
        os.write(self.asking, json.dumps(wanted).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._heard(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, f"{script}: {found['exceptionDetails']}"
        return found["result"].get("value")

    def wait(self, script: str) -> Any:
        """Its value once it is true. Raises AssertionError with what the page shows."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}\n{self.text}\n{self.said}"
            time.sleep(0.05)
        return value

    def type(self, selector: str, text: str) -> None:
        """Type into a field once it is there."""
        field = f"document.querySelector({json.dumps(selector)})"
        self.wait(f"(e => {{ if (e) {{ e.focus(); e.value = ''; }} return Boolean(e); }})({field})")
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click on an element once it is there."""
        self.wait(f"(e => {{ if (e) e.click(); return Boolean(e); }})(document.querySelector({json.dumps(selector)}))")

    @property
    def text(self) -> str:
        """All that is shown."""
        return str(self.run("document.body.innerText"))

    def wait_text(self, text: str) -> None:
        """Wait until it is shown."""
        self.wait(f"document.body.innerText.includes({json.dumps(text)})")

    def open(self, url: str) -> None:
        """Go there."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            part = os.read(self.telling, 1 << 16)
            assert part, "the browser is gone"
            self._held += part
        line, _, self._held = self._held.partition(b"\0")
        return dict(json.loads(line))

    def _heard(self, event: dict[str, Any]) -> None:
        said = event.get("params", {})
        match event.get("method"):
            case "Runtime.consoleAPICalled":
                self.said.append(" ".join(str(each.get("value")) for each in said["args"]))
            case "Runtime.exceptionThrown":
                self.said.append(str(said["exceptionDetails"]))
            case "Log.entryAdded":
                self.said.append(said["entry"]["text"])


@contextmanager
def browsing(*flags: str, wrapped: Wrapped = list) -> Iterator[Page]:
    """A page in a browser of its own; skips where there is none."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("needs a browser: chromium-headless-shell or chromium")
    (heard, asking), (telling, told) = os.pipe(), os.pipe()
    with TemporaryDirectory(prefix="pulse-browser-", ignore_cleanup_errors=True) as profile:
        # The browser reads commands from 3 and writes answers to 4.
        piped = ["sh", "-c", f'exec "$@" 3</dev/fd/{heard} 4>/dev/fd/{told}', "sh"]
        command = wrapped([*piped, program, f"--user-data-dir={profile}", *flags, *_FLAGS])
        silent = subprocess.DEVNULL
        browser = subprocess.Popen(
            command, stdout=silent, stderr=silent, start_new_session=True, pass_fds=(heard, told)
        )
        os.close(heard)
        os.close(told)
        try:
            yield _attached(Page(asking, telling))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
            browser.wait(10)
            os.close(asking)
            os.close(telling)


def _attached(browser: Page) -> Page:
    targets = browser.call("Target.getTargets")["targetInfos"]
    target = next(each["targetId"] for each in targets if each["type"] == "page")
    browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Accessibility"):
        browser.call(f"{domain}.enable")
    return browser
