"""Receivers that nobody here wrote: nginx, HAProxy, Node and h11.

Each is given forwarded bytes, request after request on one connection, and
says what requests it saw. nginx and HAProxy pass what they saw to Node, which
writes it down. All listen on Unix sockets, so no port is chosen.
"""

import hashlib
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import h11

from servers import wait_until

# Less than a socket takes unread, so that one thread can send and then read.
BATCH_BYTES_MAX = 48 * 1024
SECONDS_MAX = 5

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 0; keepalive_requests 1000000; lingering_close off;
  large_client_header_buffers 8 64k; client_body_buffer_size 256k;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream recorder {{ server unix:{folder}/node; keepalive 8; keepalive_requests 1000000; }}
  server {{
    listen unix:{folder}/nginx;
    location / {{
      proxy_pass http://recorder; proxy_http_version 1.1; proxy_buffer_size 64k; proxy_buffers 8 64k;
      proxy_set_header Connection ""; proxy_set_header Host $http_host;
    }}
  }}
}}
"""
HAPROXY = """
global
  nbthread 1
  tune.bufsize 131072
  tune.http.maxhdr 400
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend before
  bind unix@{folder}/haproxy
  default_backend recorder
backend recorder
  server node unix@{folder}/node
"""


class Peers:
    """The long-lived processes, and a folder for their sockets."""

    def __init__(self):
        # Not pytest's folder: the path of a socket has 107 bytes at most.
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="tokenring-"))
        self._processes = []
        recorder = pathlib.Path(__file__).with_name("differential_recorder.js")
        try:
            self._start("node", "node", recorder, self._folder / "node")
            self._start("nginx", "nginx", "-p", self._folder, "-c", self._write("nginx.conf", NGINX))
            self._start("haproxy", "haproxy", "-q", "-db", "-f", self._write("haproxy.conf", HAPROXY))
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for process in self._processes:
            process.kill()
            process.wait()
        shutil.rmtree(self._folder)

    def ask(self, name, requests):
        """What the peer called `name` saw of each of the `requests`.

        They stand right behind one another on as few connections as can be, so
        one that is read longer or shorter than it is spoils the next.
        """
        if name == "h11":
            return [ask_h11(request) for request in requests]
        batches = gathered(requests)
        return [saw for batch in batches for saw in ask_batch(self._folder / name, batch)]

    def _write(self, name, text):
        path = self._folder / name
        path.write_text(text.format(folder=self._folder))
        return path

    def _start(self, socket_name, program, *arguments):
        path = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
        assert path, f"there is no {program}; scripts/setup installs it"
        with open(self._folder / f"{program}.out", "wb") as out:
            process = subprocess.Popen(
                [path, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
        self._processes.append(process)

        def listens():
            said = (self._folder / f"{program}.out").read_text()
            assert process.poll() is None, f"{program} did not start: {said}"
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(self._folder / socket_name)) == 0

        wait_until(listens, f"{program} listens")


def description(method, target, body, request_id):
    """A request, in the recorder's words."""
    return f"{method} {target} {len(body)} {hashlib.sha1(body).hexdigest()} {request_id}"


def ask_h11(data):
    """h11 has no I/O: it is given one connection's bytes and asked."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    body = bytearray()
    try:
        request = connection.next_event()
        assert isinstance(request, h11.Request), request
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError as error:
        return f"refused {error.error_status_hint} {error}"
    left, _ = connection.trailing_data
    if not isinstance(event, h11.EndOfMessage) or left:
        return f"not one request: {event}, and {left[:80]}"
    request_id = dict(request.headers).get(b"x-request-id", b"").decode()
    return description(request.method.decode(), request.target.decode(), bytes(body), request_id)


def gathered(requests):
    batch, size = [], 0
    for request in requests:
        if batch and size + len(request) > BATCH_BYTES_MAX:
            yield batch
            batch, size = [], 0
        batch.append(request)
        size += len(request)
    if batch:
        yield batch


def ask_batch(path, batch):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS_MAX)
        connection.connect(str(path))
        connection.sendall(b"".join(batch))
        answers = Answers(connection)
        seen = [answers.next() for _ in batch]
        # Each has its answer; another one would be about bytes left over.
        connection.settimeout(0.01)
        if more := answers.rest():
            seen[-1] += f", and then {more}"
        return seen


HEAD = re.compile(rb"HTTP/1\.1 (\d{3})[^\r]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
SEEN = re.compile(rb"^x-seen: ([^\r]*)\r$", re.IGNORECASE | re.MULTILINE)


class Answers:
    """The answers on one connection. A good one has no body."""

    def __init__(self, connection):
        self._connection = connection
        self._held = b""
        # Whatever follows the first one that is not good is not told apart.
        self._last = None

    def next(self):
        while not self._last and not (head := HEAD.match(self._held)):
            try:
                data = self._connection.recv(1 << 16)
            except ConnectionError:
                data = b""
            except TimeoutError:
                self._last = f"waits for more, after {self._held}"
                break
            if not data:
                self._last = f"closed, after {self._held}"
            self._held += data
        if self._last:
            said, self._last = self._last, "was behind such a one"
            return said
        self._held = self._held[head.end() :]
        if seen := SEEN.search(head[2]):
            return seen[1].decode()
        self._last = "was behind one that was refused"
        return f"refused {int(head[1])}"

    def rest(self):
        """What comes unasked."""
        try:
            return b"" if self._last else self._held or self._connection.recv(1 << 16)
        except TimeoutError:
            return b""
