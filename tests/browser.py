"""A headless Chromium that a test talks to over a pipe: it opens a page, presses keys, and says what stands there. No driver is needed
(chromium: content/browser/devtools/devtools_pipe_handler.cc; the messages are those of the DevTools protocol)."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --hide-scrollbars --remote-debugging-pipe"
)


class Browser:
    """One tab. `with Browser(folder) as browser`: `folder` takes its profile."""

    def __init__(self, folder):
        there, self._out = os.pipe()
        self._in, back = os.pipe()
        # the browser reads from its descriptor 3 and writes to 4; those of the pipes are moved out of their way first
        kept = [fcntl.fcntl(pipe, fcntl.F_DUPFD, 10) for pipe in (there, back)]
        command = [CHROMIUM, *QUIET.split(), f"--user-data-dir={folder / 'profile'}"]
        ends = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "pass_fds": (3, 4)}
        self._process = subprocess.Popen(command, preexec_fn=lambda: [os.dup2(one, place) for place, one in enumerate(kept, 3)], **ends)
        for pipe in (there, back, *kept):
            os.close(pipe)
        self._read, self._asked, self._session = b"", 0, None
        self.events = []
        """What the browser told by itself: errors, requests."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session = None
        self.call("Browser.close")
        self._process.wait(60)
        os.close(self._out)
        os.close(self._in)

    def call(self, method, **params):
        """What the browser answers to a message."""
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._until(lambda said: said.get("id") == self._asked)["result"]

    def _until(self, wanted):
        while True:
            while b"\0" in self._read:
                line, _, self._read = self._read.partition(b"\0")
                said = json.loads(line)
                assert "error" not in said, said
                if "method" in said:
                    self.events.append(said)
                if wanted(said):
                    return said
            data = os.read(self._in, 1 << 20)
            assert data, "the browser ended"
            self._read += data

    def open(self, address):
        """Open a page, and wait until its scripts ran."""
        if "#" in address and self.run("location.href").split("#")[0] == address.split("#")[0]:
            self.run(f"location.href = {json.dumps(address)}")
            return
        self.call("Page.navigate", url=address)
        self._until(lambda said: said.get("method") == "Page.loadEventFired")

    def run(self, script):
        """The value of an expression, evaluated in the page."""
        said = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def text(self, selector):
        """What a reader sees of the first such element."""
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText")

    def wait(self, script):
        """Until an expression is true; at most some seconds."""
        for _ in range(200):
            if value := self.run(script):
                return value
            time.sleep(0.02)
        raise AssertionError(f"never true: {script}")

    def press(self, *keys):
        for key in keys:
            text = {"text": key} if len(key) == 1 else {"windowsVirtualKeyCode": {"Escape": 27}[key]}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def errors(self):
        """What went wrong in the page's scripts, or was refused by its policy."""
        return [one for one in self.events if one["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]

    def look(self, width, height=900, dark=False):
        """Set the size of the window, and whether it is dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=theme)

    def picture(self, path):
        """What the window shows, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
