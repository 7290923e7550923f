"""A person's hands in Chromium: typing, pressing, looking. No script runs in the pages.

Speaks the browser's own protocol (https://chromedevtools.github.io/devtools-protocol/) over a
pair of pipes, messages ended by a NUL.
"""

import base64
import json
import os
import selectors
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from tests.browser.browser import BROWSER_S, DESK, FLAGS, LIGHT

# The browser reads from 3 and writes to 4.
_PIPES = 'exec 3<&0 4>&1 1>&2; exec "$@"'
_SCHEMES = {LIGHT: "light"}


class Browser:
    """One window. Selectors are CSS."""

    def __init__(self, profile: Path) -> None:
        path = shutil.which("chromium")
        assert path, "Chromium is missing: apt-get install chromium"
        self._log = (profile.parent / "chromium.txt").open("wb")
        self._process = subprocess.Popen(
            [
                "sh",
                "-c",
                _PIPES,
                "sh",
                path,
                *FLAGS,
                "--remote-debugging-pipe",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._number = 0
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        page = next(one for one in self._ask("Target.getTargets")["targetInfos"]
                    if one["type"] == "page")  # fmt: skip
        attached = self._ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "DOM", "Log"):
            self._ask(f"{domain}.enable")
        self._ask("Emulation.setScriptExecutionDisabled", value=True)
        self.look(DESK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ask("Browser.close")
        self._process.wait(BROWSER_S)
        for stream in (self._process.stdin, self._process.stdout, self._log):
            stream.close()

    # -- what a person does -----------------------------------------------------------------

    def go(self, url: str) -> None:
        self._events.clear()
        self._ask("Page.navigate", url=url)
        self._loaded()

    def type(self, selector: str, text: str) -> None:
        self._ask("DOM.focus", nodeId=self._node(selector))
        self._ask("Input.insertText", text=text)

    def press(self, selector: str) -> None:
        """Press a button or follow a link by the keyboard, and wait for the page it leads to."""
        self._ask("DOM.focus", nodeId=self._node(selector))
        self._events.clear()
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, **key)
        self._loaded()

    # -- what a person sees -----------------------------------------------------------------

    @property
    def url(self) -> str:
        history = self._ask("Page.getNavigationHistory")
        return str(history["entries"][history["currentIndex"]]["url"])

    @property
    def html(self) -> str:
        return str(self._ask("DOM.getOuterHTML", nodeId=self._node("html"))["outerHTML"])

    def has(self, selector: str) -> bool:
        return self._found(selector) != 0

    def cookies(self) -> dict[str, dict[str, Any]]:
        found = self._ask("Network.getCookies")["cookies"]
        return {one["name"]: one for one in found}

    def forget(self) -> None:
        """Delete all cookies, as somebody else's browser has none of them."""
        self._ask("Network.clearBrowserCookies")

    def look(self, size: tuple[int, int], scheme: int = LIGHT) -> None:
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=size[0], height=size[1], deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        value = _SCHEMES.get(scheme, "dark")
        feature = {"name": "prefers-color-scheme", "value": value}
        self._ask("Emulation.setEmulatedMedia", features=[feature])

    def picture(self, path: Path) -> Path:
        shot = self._ask("Page.captureScreenshot", captureBeyondViewport=False)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def width(self) -> int:
        """Return how wide the page is, which is the window unless something sticks out."""
        return int(self._ask("Page.getLayoutMetrics")["cssContentSize"]["width"])

    # -- the wire ---------------------------------------------------------------------------

    def _node(self, selector: str) -> int:
        found = self._found(selector)
        assert found, f"no {selector} at {self.url}"
        return found

    def _found(self, selector: str) -> int:
        root = self._ask("DOM.getDocument")["root"]["nodeId"]
        return int(self._ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"])

    def _loaded(self) -> None:
        deadline = time.monotonic() + BROWSER_S
        while not any(one["method"] == "Page.loadEventFired" for one in self._events):
            assert time.monotonic() < deadline, "the page does not load"
            self._receive()

    def _ask(self, method: str, **params: object) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            got = self._receive()
            if got.get("id") == self._number:
                assert "error" not in got, (method, got)
                result: dict[str, Any] = got["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        """Return the next message; events are kept too."""
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\0" not in self._buffer:
                assert selector.select(BROWSER_S), "the browser says nothing"
                more = os.read(self._process.stdout.fileno(), 1 << 20)
                assert more, "the browser is gone"
                self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self._events.append(message)
        return message
