"""What a running proxy says of itself, and what the kernel says of it."""

import os

import httpx

from servers import wait_until

# Back at zero when nobody is there. Our own connection is the one open.
AT_REST = {
    "tokenring_connections_open": 1,
    "tokenring_handshakes_under_way": 0,
    "tokenring_requests_in_flight": 0,
    "tokenring_request_body_bytes_held": 0,
    "tokenring_event_bytes_held": 0,
    "tokenring_backend_connections_busy": 0,
    "tokenring_panics_total": 0,
}


class Metrics:
    """The figures behind an admin socket."""

    def __init__(self, socket_path):
        self._client = httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_path)), timeout=20)

    def close(self):
        self._client.close()

    def read(self):
        answer = self._client.get("http://admin/metrics").raise_for_status()
        lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def come_to_rest(self, seconds=10):
        """Waits until every gauge is where it began, and fails if one stays."""
        figures = {}

        def rests():
            figures.update(self.read())
            return all(figures[name] == value for name, value in AT_REST.items())

        try:
            wait_until(rests, "at rest", seconds)
        except AssertionError:
            left = {name: figures[name] for name, value in AT_REST.items() if figures[name] != value}
            raise AssertionError(f"not at rest after {seconds} s: {left}") from None
        return figures


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
