"""Headless Chromium, spoken to over a pipe (the DevTools protocol). It shows HTML and never lets it reach the network."""

import base64
import json
import os
import shutil
import subprocess
import tempfile

PROGRAM = "chromium"

FLAGS = (
    "--headless",
    "--no-sandbox",  # which root and containers don't have; the pages are ours
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class Chromium:
    """A browser with one page; use it as a context manager."""

    def __init__(self):
        program = shutil.which(PROGRAM)
        if program is None:
            raise RuntimeError(f"there is no {PROGRAM}")
        self.profile = tempfile.TemporaryDirectory()
        their_commands, self.commands = os.pipe()
        self.answers, their_answers = os.pipe()

        # Chromium reads descriptor 3 and writes 4; both may be in use here, so ours go through higher ones.
        def hand_over():
            os.dup2(their_commands, 63)
            os.dup2(their_answers, 64)
            os.dup2(63, 3)
            os.dup2(64, 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, "--user-data-dir=" + self.profile.name, "about:blank"],
            close_fds=False,
            preexec_fn=hand_over,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_commands)
        os.close(their_answers)
        self.buffer = b""
        self.last_id = 0
        self.session = None
        self.requests = []

        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.frame = self.call("Page.getFrameTree")["frameTree"]["frame"]["id"]
        self.call("Fetch.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
        self.profile.cleanup()

    def send(self, method, parameters):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data) :]
        return self.last_id

    def receive(self):
        while b"\0" not in self.buffer:
            more = os.read(self.answers, 1 << 20)
            if not more:
                raise RuntimeError("the browser has gone away")
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def refuse(self, paused):
        """A page that asks for anything is remembered, and does not get it."""
        url = paused["request"]["url"]
        if url.startswith("data:"):
            self.send("Fetch.continueRequest", {"requestId": paused["requestId"]})
            return
        self.requests.append(url)
        self.send("Fetch.failRequest", {"requestId": paused["requestId"], "errorReason": "AccessDenied"})

    def call(self, method, **parameters):
        """The result of a command; what happens until it comes is dealt with."""
        call_id = self.send(method, parameters)
        while True:
            message = self.receive()
            if message.get("method") == "Fetch.requestPaused":
                self.refuse(message["params"])
            elif message.get("id") == call_id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def evaluate(self, expression):
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"]["value"]

    def show(self, html, width, scheme, scale=1):
        """Shows a page, loaded as far as it can be without a network; returns the addresses that it asked for."""
        self.requests = []
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=480, deviceScaleFactor=scale, mobile=False
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.setDocumentContent", frameId=self.frame, html=html)
        self.evaluate(
            "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))"
            ".then(() => document.fonts.ready).then(() => true)"
        )
        return self.requests

    def picture(self, width):
        """The whole page that is shown, as PNG."""
        height = self.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])
