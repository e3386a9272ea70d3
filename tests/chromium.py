"""A page in a headless Chromium, driven through its debugging pipe: no driver, no port."""

import base64
import io
import json
import os
import shutil
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

FLAGS = (
    "--headless=new --no-sandbox --disable-dev-shm-usage --no-first-run --hide-scrollbars "
    "--disable-extensions --disable-background-networking --disable-component-update "
    "--use-angle=swiftshader --enable-unsafe-swiftshader --host-resolver-rules='MAP * ~NOTFOUND'"
)
MOUSE = {"button": "left", "buttons": 1, "clickCount": 1}


class Page:
    """One tab."""

    def __init__(self, pipe_in, pipe_out):
        self._in, self._out, self._number = pipe_in, pipe_out, 0
        self._session = None
        self.complaints = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.requests = []

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._in.write(json.dumps(message).encode() + b"\0")
        self._in.flush()
        return self._read_until(lambda answer: answer.get("id") == self._number)["result"]

    def _read_until(self, is_wanted):
        while True:
            answer = json.loads(b"".join(iter(lambda: self._out.read(1), b"\0")))
            self._hear(answer)
            if is_wanted(answer):
                return answer

    def _hear(self, answer):
        method, params = answer.get("method"), answer.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(params["args"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:60])

    def open(self, path, *, width=1000, height=700, is_phone=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if is_phone else 1,
            mobile=is_phone,
        )
        self.call("Page.navigate", url=path.resolve().as_uri())
        self._read_until(lambda answer: answer.get("method") == "Page.loadEventFired")
        self.settle()

    def settle(self):
        """Wait until what was asked for is drawn."""
        self.evaluate("""Promise.all([...Array(2)].map(() => new Promise(requestAnimationFrame)))
            .then(() => new Promise((done) => setTimeout(done, 300)))""")

    def evaluate(self, expression):
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def drag(self, start, end):
        for kind, (x, y) in (
            ("mousePressed", start),
            ("mouseMoved", np.add(start, end) / 2),
            ("mouseMoved", end),
            ("mouseReleased", end),
        ):
            self.call("Input.dispatchMouseEvent", type=kind, x=float(x), y=float(y), **MOUSE)
        self.settle()

    def click(self, point):
        self.drag(point, point)

    def touch(self, *frames):
        """Fingers at the points of each frame, one frame after the other; none lifts them."""
        before = 0
        for points in frames:
            kind = (
                "touchEnd" if not points else "touchStart" if len(points) > before else "touchMove"
            )
            fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
            before = len(points)
        self.settle()

    def screenshot(self):
        png = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return Image.open(io.BytesIO(png)).convert("RGB")


@contextmanager
def open_browser(profile):
    """A browser with a profile folder of its own; ends with the block."""
    (commands, to_browser), (from_browser, answers) = os.pipe(), os.pipe()
    shell = (
        f"exec {CHROMIUM} {FLAGS} --remote-debugging-pipe --user-data-dir={profile} "
        f"3<&{commands} 4>&{answers} >{profile}/log 2>&1"
    )
    process = subprocess.Popen(["bash", "-c", shell], pass_fds=(commands, answers))
    os.close(commands)
    os.close(answers)
    with os.fdopen(to_browser, "wb") as sender, os.fdopen(from_browser, "rb") as receiver:
        try:
            yield Page(sender, receiver)
        finally:
            process.terminate()
            process.wait(30)
