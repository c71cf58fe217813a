"""A headless Chromium for tests that look at pages, through its DevTools protocol; skipped where there is none.

One browser serves all tests of a process, since its start costs more than most pages do.
"""

import atexit
import base64
import functools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 300.0  # a machine may be busy; a page that is right is there in a second or two
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
HELP = f"no browser: install one of {', '.join(NAMES)} (Debian and Ubuntu: apt-get install chromium)"
SCREENSHOTS = Path(__file__).parents[1] / ".screenshots"
# Nothing but the page: no first-run pages, no updates, no phoning home, no graphics card.
QUIET = (
    *("--headless", "--disable-gpu", "--no-first-run", "--no-default-browser-check", "--disable-extensions"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update", "--mute-audio"),
    *("--disable-default-apps", "--hide-scrollbars", "--remote-debugging-port=0"),
)


class Page:
    """A tab. `wrong` holds whatever went wrong on it, and whatever it asked of anything but this machine."""

    def __init__(self, socket: ClientConnection) -> None:
        self.wrong: list[str] = []
        self._socket, self._numbers = socket, count(1)
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """What a method of the protocol answers; AssertionError where it fails."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        end = time.monotonic() + PATIENCE_S
        while True:
            said = json.loads(self._socket.recv(timeout=max(end - time.monotonic(), 0.1)))
            if said.get("id") == number:
                assert "error" not in said, f"{method}: {said['error']}"
                return dict(said["result"])
            if "method" in said:
                self._note(said["method"], said["params"])

    def _note(self, event: str, told: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.wrong.append(f"error: {told['exceptionDetails'].get('exception', {}).get('description')}")
        elif event == "Page.javascriptDialogOpening":
            self.wrong.append("a script of the stream ran")
            dismiss = {"method": "Page.handleJavaScriptDialog", "params": {"accept": False}}
            self._socket.send(json.dumps({"id": next(self._numbers), **dismiss}))
        elif event == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.wrong.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif event == "Network.requestWillBeSent":
            url = str(told["request"]["url"])
            if url.startswith(("http", "ws")) and "//127.0.0.1:" not in url:
                self.wrong.append(f"asked for {url}")

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)

    def ask(self, script: str) -> Any:
        """The value of a JavaScript expression, as JSON can say it; AssertionError where it throws."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression once it is true; a failure says what the page shows instead."""
        found: list[Any] = [None]

        def true() -> bool:
            found[0] = self.ask(script)
            return bool(found[0])

        self.wait_until(true, what=script)
        return found[0]

    def wait_until(self, true: Callable[[], bool], *, what: str = "it") -> None:
        """Wait until something is so; a failure says what the page shows instead."""
        end = time.monotonic() + PATIENCE_S
        while not true():
            if time.monotonic() > end:
                told = self.text()[:2000]
                pytest.fail(f"{what} was not true after {PATIENCE_S:.0f} s; the page says: {told}")
            time.sleep(0.1)

    def wait_for(self, selector: str) -> None:
        """Wait until there is such an element."""
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")

    def wait_for_text(self, words: str) -> None:
        """Wait until the page says so."""
        self.wait(f"document.body !== null && {_TEXT}.includes({json.dumps(words)})")

    def text(self) -> str:
        """All that the page says, in shadow trees too."""
        return str(self.ask(_TEXT))

    def texts(self, selector: str) -> list[str]:
        """What each such element says."""
        return list(
            self.ask(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")
        )

    def count(self, selector: str) -> int:
        """How many such elements there are."""
        return int(self.ask(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def click(self, selector: str) -> None:
        """Click an element once it is there."""
        self.wait_for(selector)
        self.ask(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, label: str) -> None:
        """Click the button of this label once it is there."""
        found = (
            f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() === {json.dumps(label)})"
        )
        self.wait(f"{found} !== undefined")
        self.ask(f"{found}.click()")

    def settle(self) -> None:
        """Wait until the picture stands still: charts are drawn after their data came, and move in."""
        end, before = time.monotonic() + PATIENCE_S, b""
        while (now := self._picture()) != before:
            assert time.monotonic() < end, "the page goes on moving"
            before = now
            time.sleep(0.7)

    def picture_of(self, element: str) -> NDArray[np.uint8]:
        """The pixels of the element that an expression names, shape (height, width, 3)."""
        box = self.ask(f"(({element}).getBoundingClientRect()).toJSON()")
        clip = {name: float(box[name]) for name in ("x", "y", "width", "height")}
        with Image.open(BytesIO(self._picture(clip={**clip, "scale": 1}))) as picture:
            return np.asarray(picture.convert("RGB"))

    def _picture(self, **how: Any) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", **how)["data"])

    def keep(self, name: str, *, height: int | None = None) -> Path:
        """Keep a screenshot for review, of the window or of so much of the page."""
        if height is not None:
            size = {
                "width": self.ask("innerWidth"),
                "height": height,
                "deviceScaleFactor": 1,
                "mobile": False,
            }
            self.call("Emulation.setDeviceMetricsOverride", **size)
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        path.write_bytes(self._picture())
        return path


# Shadow trees too: TensorBoard's older tabs live in them.
_TEXT = """(() => {
  const said = [document.body.innerText];
  const look = root => root.querySelectorAll('*').forEach(e => {
    if (e.shadowRoot) { said.push(...[...e.shadowRoot.children].map(c => c.innerText ?? '')); look(e.shadowRoot); }
  });
  look(document);
  return said.join('\\n');
})()"""


@contextmanager
def open_page(*, width: int = 1300, height: int = 1600) -> Iterator[Page]:
    """A blank page; the test is skipped, with the reason, without a Chromium."""
    port = _chromium()
    made = json.loads(_ask(port, "new?about:blank", method="PUT"))
    with connect(made["webSocketDebuggerUrl"], max_size=None, ping_interval=None) as socket:
        page = Page(socket)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        page.call("Emulation.setDeviceMetricsOverride", **size)
        yield page
    _ask(port, f"close/{made['id']}")


def _ask(port: int, what: str, *, method: str = "GET") -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/json/{what}", method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


@functools.cache
def _chromium() -> int:
    """Start the browser, which ends with this process; the port that it listens on."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(HELP)
    profile = tempfile.mkdtemp(prefix="olrl-browser-")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = subprocess.Popen(
        [found, *QUIET, *sandbox, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what /usr/bin has may be a shell script that starts the browser
    )
    atexit.register(_end, browser, profile)
    told = Path(profile) / "DevToolsActivePort"
    end = time.monotonic() + PATIENCE_S
    while not (told.exists() and told.read_text().count("\n")):
        assert browser.poll() is None, f"{found} ended at once with code {browser.returncode}"
        assert time.monotonic() < end, f"{found} did not say where it listens"
        time.sleep(0.05)
    return int(told.read_text().splitlines()[0])


def _end(browser: "subprocess.Popen[bytes]", profile: str) -> None:
    os.killpg(browser.pid, signal.SIGKILL)
    browser.wait()
    shutil.rmtree(profile, ignore_errors=True)
