"""Chromium through its own protocol, over two pipes: real keys, and what a screen reader is told."""

import fcntl
import json
import os
import select
import subprocess
from pathlib import Path

DEADLINE_S = 60
LEAST_DESCRIPTOR = 20
"""The browser takes 3 and 4: its ends of the pipes must not be in their way."""

KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "ArrowDown": (40, "")}
"""Of each key, its number and what it types."""


class Tab:
    """One page in a browser without a screen. It is left at the end of a `with`."""

    def __init__(self, browser: str, profile: Path, width: int, page: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, LEAST_DESCRIPTOR) for end in (theirs_in, theirs_out)]
        options = (
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
            *("--disable-background-networking", "--disable-component-update"),
            *(f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"),
        )
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{ends[0]} 4>&{ends[1]}', browser, *options],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs_in, theirs_out, *ends):
            os.close(end)
        self._buffer, self._number, self._session = b"", 0, None
        (target,) = (one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=page.as_uri())
        self._wait_for("Page.loadEventFired")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session = None
        self.call("Browser.close")
        try:
            self._process.wait(DEADLINE_S)
        finally:
            self._process.kill()
            os.close(self._in)
            os.close(self._out)

    def call(self, method: str, **parameters):
        """Return what the browser answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def press(self, key: str) -> None:
        """Press a key and let it go, as a person does."""
        number, text = KEYS[key]
        about = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": number}
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", **down, **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def tab_to(self, what: str) -> None:
        """Press Tab until `what`, in JavaScript, is true of the element `it` that has the focus."""
        for _ in range(200):
            self.press("Tab")
            if self.find(f"((it) => {what})(document.activeElement)"):
                return
        raise AssertionError(f"the focus never came to {what}")

    def find(self, script: str):
        """Return what a line of JavaScript gives."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def accessible(self) -> list[dict]:
        """Return the tree that a screen reader is told of, with what is ignored between its nodes."""
        return self.call("Accessibility.getFullAXTree")["nodes"]

    def _wait_for(self, event: str) -> None:
        while self._receive().get("method") != event:
            pass

    def _receive(self) -> dict:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], DEADLINE_S)
            assert ready, "the browser says nothing"
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)
