"""Headless Chromium, controlled over a pipe (DevTools protocol). It shows HTML without access to
the network."""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile

PROGRAM = "chromium"

# The browser requests this by itself.
FAVICON = "https://mail.invalid/favicon.ico"

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
    """A browser with one page, as a context manager."""

    def __init__(self):
        program = shutil.which(PROGRAM)
        if program is None:
            raise RuntimeError(f"there is no {PROGRAM}")
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        their_commands, self.commands = os.pipe()
        self.answers, their_answers = os.pipe()

        # Chromium reads descriptor 3 and writes descriptor 4. Both may be in use here, so the pipes
        # first get higher numbers.
        def hand_over():
            os.dup2(their_commands, 63)
            os.dup2(their_answers, 64)
            os.dup2(63, 3)
            os.dup2(64, 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, "--user-data-dir=" + self.profile.name, "about:blank"],
            close_fds=False,
            preexec_fn=hand_over,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_commands)
        os.close(their_answers)
        self.buffer = b""
        self.last_id = 0
        self.session = None
        self.pages = 0
        self.document = None
        self.requests = []
        self.loaded = None

        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)
        self.call("Fetch.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Its helper processes may live a little longer and write to the profile. They have their
        # own process group.
        self.process.terminate()
        self.process.wait()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
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

    def answer_request(self, paused):
        """Answers the request for the page itself. Every other request is recorded and gets no
        answer."""
        request, url = {"requestId": paused["requestId"]}, paused["request"]["url"]
        if self.document is not None and url == self.document[0]:
            body = base64.b64encode(self.document[1].encode()).decode()
            headers = [{"name": "Content-Type", "value": "text/html; charset=utf-8"}]
            self.send("Fetch.fulfillRequest", {**request, "responseCode": 200, "responseHeaders": headers, "body": body})
        elif url.startswith("data:"):
            self.send("Fetch.continueRequest", request)
        else:
            if url != FAVICON:
                self.requests.append(url)
            self.send("Fetch.failRequest", {**request, "errorReason": "AccessDenied"})

    def handle(self, event):
        if event["method"] == "Fetch.requestPaused":
            self.answer_request(event["params"])
        elif event["method"] == "Page.lifecycleEvent" and event["params"]["name"] == "load":
            self.loaded = event["params"]["loaderId"]

    def call(self, method, **parameters):
        """Returns the result of a command. Handles the events that arrive before it."""
        call_id = self.send(method, parameters)
        while True:
            message = self.receive()
            if "method" in message:
                self.handle(message)
            elif message["id"] == call_id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def evaluate(self, expression):
        """Returns the value of a JavaScript expression. If it is a promise, waits for it."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"]["value"]

    def show(self, html, width, scheme, scale=1):
        """Shows a page and waits until it is loaded, as far as that is possible without a
        network. Returns the addresses that the page requested."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=480, deviceScaleFactor=scale, mobile=False
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        # Each page has its own loader, and the method waits for that one. So a request is never
        # assigned to another page.
        self.pages += 1
        self.document = (f"https://mail.invalid/{self.pages}", html)
        self.requests = []
        loader = self.call("Page.navigate", url=self.document[0])["loaderId"]
        while self.loaded != loader:
            message = self.receive()
            if "method" in message:
                self.handle(message)
        self.evaluate("document.fonts.ready.then(() => true)")
        return self.requests

    def picture(self, width, quick=False):
        """Returns the shown page as PNG. With quick, the file is larger and is made faster."""
        height = self.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip, optimizeForSpeed=quick)
        return base64.b64decode(shot["data"])
