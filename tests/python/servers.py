"""Starts `tokenring mock` and `tokenring serve` and finds out where they listen.

The binary is named by TOKENRING_BIN, the driver by TOKENRING_TEST_DRIVER.
"""

import atexit
import collections
import os
import re
import signal
import subprocess
import threading
import time

import httpx

START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 20
# "listens on 127.0.0.1:4711", "listening on http://127.0.0.1:4711"
LISTENS_ON = re.compile(r"listen\w* on ((?:[^;]*?127\.0\.0\.1:\d+)+)")
PORT = re.compile(r"127\.0\.0\.1:(\d+)")


class Server:
    """A running process that said where it listens."""

    scheme = "http"
    listen = "--listen"

    def __init__(self, *arguments):
        command = [os.environ["TOKENRING_BIN"], *map(str, arguments), self.listen, "127.0.0.1:0"]
        if driver := os.environ.get("TOKENRING_TEST_DRIVER"):
            command += ["--driver", driver]
        self.name = " ".join(command)
        self.said = collections.deque(maxlen=500)
        # Of every listener, in the order in which it names them.
        self.ports = []
        self._ended = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )
        # A row that fails does not come to its `stop`.
        atexit.register(self._process.kill)
        # Read to the end, or a full pipe would stop the server.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._wait_until_it_listens()

    @property
    def port(self):
        """Of its only listener."""
        (port,) = self.ports
        return port

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self._process.pid

    def signal(self, number):
        self._process.send_signal(number)

    def says(self, pattern):
        """Waits until it has said a line that matches."""
        found = []

        def said():
            with self._changed:
                found[:] = [line for line in self.said if re.search(pattern, line)]
            return found

        try:
            wait_until(said, pattern)
        except AssertionError:
            raise AssertionError(self._report(f"did not say {pattern!r}")) from None
        return found[-1]

    def stop(self):
        """Ends it the way an operator does, and holds it to a clean end."""
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(self._report(f"did not end in {STOP_SECONDS_MAX} s")) from None
        self._reader.join()
        assert status == 0, self._report(f"ended with status {status}")
        assert not any("panicked at" in line for line in self.said), self._report("panicked")

    def _read(self):
        for line in self._process.stdout:
            with self._changed:
                self.said.append(line.rstrip())
                if not self.ports and (found := LISTENS_ON.search(line)):
                    self.ports = [int(port) for port in PORT.findall(found[1])]
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait_until_it_listens(self):
        with self._changed:
            self._changed.wait_for(lambda: self.ports or self._ended, START_SECONDS_MAX)
        if not self.ports:
            self._process.kill()
            self._process.wait()
            raise AssertionError(self._report("did not say where it listens"))

    def _report(self, what):
        return f"{self.name}: {what}; it said:\n" + "\n".join(self.said)


class TlsServer(Server):
    """The same with a listener for TLS alone."""

    scheme = "https"
    listen = "--tls-listen"


class Mock(Server):
    """The model behind the proxy."""

    def __init__(self):
        super().__init__("mock")

    def stats(self):
        answer = httpx.get(f"{self.url}/mock/stats", trust_env=False)
        answer.raise_for_status()
        return answer.json()


def script(**fields):
    """Headers that tell the mock how to answer this one request."""
    fields = {"tokens": 12, "token_bytes": 4, "first_token": "1ms", "token_gap": "1ms"} | fields
    return {f"x-mock-{name.replace('_', '-')}": str(value) for name, value in fields.items()}


def wait_until(condition, what, seconds=10):
    """Waits for a condition, as fast as it comes true, and not for ever."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)
