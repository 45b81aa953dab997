"""A headless Chromium, driven by its own protocol over a pair of pipes, which needs no package; tests of pages use it too."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--remote-debugging-pipe"]


class Chromium:
    """A browser with one page; ``complaints`` has what the console and the script said of errors and warnings.

    Args:
        profile: an empty folder for it to keep its files in.
        size: of the window, width and height in pixels.
        media: features of CSS to feign, as ``{"prefers-color-scheme": "dark"}``.
        phone: whether to be a telephone with a touch screen.
    """

    def __init__(
        self, profile: Path, size: tuple[int, int] = (1280, 900), media: Mapping[str, str] | None = None, phone: bool = False
    ) -> None:
        assert BROWSER
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        command = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        arguments = ["bash", "-c", command, "bash", BROWSER, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            arguments, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._buffer, self._session = 0, b"", None
        self.complaints: list[str] = []
        self._events: list[str] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        width, height = size
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.send("Emulation.setTouchEmulationEnabled", enabled=phone)
        features = [{"name": name, "value": value} for name, value in (media or {}).items()]
        self.send("Emulation.setEmulatedMedia", features=features)

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        self.send("Browser.close")
        self._process.wait(20)
        os.close(self._out)
        os.close(self._in)

    def send(self, method: str, **parameters: Any) -> Any:
        """Give an order and return what comes of it."""
        self._number += 1
        order = {"id": self._number, "method": method, "params": parameters}
        self._write(order | ({"sessionId": self._session} if self._session else {}))
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]

    def open(self, address: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._events.clear()
        self.send("Page.navigate", url=address)
        while "Page.loadEventFired" not in self._events:
            self._message()
        self.settle()

    def run(self, script: str) -> Any:
        """Return the value of an expression of JavaScript, awaited where it is a promise."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))))")

    def click(self, selector: str) -> None:
        """Click on the first element that a selector of CSS finds."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")
        self.settle()

    def set(self, name: str, value: Any, *events: str) -> None:
        """Give a control, by its id, a value as a person does who moves it and lets it go; or with the events named."""
        fired = "".join(
            f"one.dispatchEvent(new Event('{event}', {{ bubbles: true }}));" for event in events or ("input", "change")
        )
        self.run(f"{{ const one = document.getElementById('{name}'); one.value = {json.dumps(str(value))}; {fired} }}")
        self.settle()

    def press(self, *keys: str) -> None:
        """Press keys one after the other, by their names in ``KeyboardEvent.key``."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36}
        codes |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            code = {"windowsVirtualKeyCode": codes[key], "code": key} if key in codes else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **code, **({"text": text} if text else {}))
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key, **code)
        self.settle()

    def picture(self, path: Path, whole: bool = False) -> None:
        """Write a picture of the window, or of the whole page."""
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _write(self, order: dict[str, Any]) -> None:
        data = json.dumps(order).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]

    def _message(self, seconds: float = 60.0) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"the browser has said nothing for {seconds:g} s"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message.get("method", ""), message.get("params", {})
        self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"].get("exception", {}).get("description")))
        if method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"])
        if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(parameters["args"]))
