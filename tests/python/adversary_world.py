"""A proxy between clients and backends that do whatever a row tells them.

Both ends are plain sockets: a row says every byte, when it comes, and how the
connection ends.
"""

import concurrent.futures
import re
import socket
import struct
import threading
import time

import h11

from servers import Server

SECONDS_MAX = 10
# Deadlines short enough to be waited for, and long enough for a busy machine.
HASTE = [
    *("--head-timeout", "700ms", "--body-rate-grace", "700ms", "--first-byte-timeout", "2s"),
    *("--silence-timeout", "1s", "--client-write-timeout", "1s", "--total-timeout", "20s"),
    *("--keep-alive-timeout", "3s", "--rest-before-idle", "50ms", "--pool-idle-timeout", "300ms"),
]
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")


class Proxy(Server):
    """A proxy with one shard, whose process can be looked at."""

    def __init__(self, backend, admin, *flags):
        super().__init__(
            "serve", "--cores", "0", "--backend", f"http://127.0.0.1:{backend.port}",
            "--admin", f"unix:{admin}", *HASTE, *flags,
        )  # fmt: skip

    @property
    def runs(self):
        return self._process.poll() is None


class Backend:
    """Answers each request with the script of its path.

    A script takes the connection and the request, and says whether the
    connection serves on.
    """

    def __init__(self):
        self.scripts = {}
        # These are run as soon as the head has come.
        self.early = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                while request := read_head(connection):
                    path = request.split(b" ", 2)[1].decode()
                    if (early := self.early.get(path)) and not early(connection, request):
                        return
                    request = read_body(connection, request)
                    if not request or not self.scripts.get(path, ok)(connection, request):
                        return
            except OSError:
                pass  # The proxy has had enough of it, as the row may want.


def read_head(connection):
    """A head in the form in which the proxy sends it, and what came with it."""
    request = b""
    while b"\r\n\r\n" not in request:
        if not (data := connection.recv(1 << 16)):
            return b""
        request += data
    return request


def read_body(connection, request):
    """The request with all of its body; nothing if that does not come."""
    head_bytes = request.index(b"\r\n\r\n") + 4
    length = LENGTH.search(request[:head_bytes])
    pieces, missing = [request], head_bytes + (int(length[1]) if length else 0) - len(request)
    while missing > 0:
        if not (data := connection.recv(1 << 20)):
            return b""
        pieces.append(data)
        missing -= len(data)
    return b"".join(pieces)


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def ok(connection, _request):
    connection.sendall(OK)
    return True


def answering(*pieces, pause=0.0, then="lives"):
    """Sends pieces, and then lives, closes or resets."""

    def script(connection, _request):
        for index, piece in enumerate(pieces):
            if index:
                time.sleep(pause)
            connection.sendall(piece)
        if then == "resets":
            time.sleep(0.005)  # What was sent is to arrive; a reset may overtake it.
            reset(connection)
        return then == "lives"

    return script


def reset(connection):
    """Closes with a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def connect(proxy, receive_buffer=None):
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(SECONDS_MAX)
    client.connect(("127.0.0.1", proxy.port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def get(path, method="GET", fields=""):
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


class Answer:
    """An answer as h11 reads it."""

    def __init__(self):
        self.status = None
        self.body = b""
        # Whether its framing says that it came to its end.
        self.whole = False
        self.interim = []
        # What came behind it.
        self.rest = b""

    def __repr__(self):
        return f"{self.status}, {'whole' if self.whole else 'cut'}, {len(self.body)} bytes: {self.body[:200]}"


def read_answer(client, method="GET", held=b""):
    """The next answer; `held` came behind the one before."""
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    reader.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    reader.send(h11.EndOfMessage())
    answer = Answer()
    if held:
        reader.receive_data(held)
    try:
        while not answer.whole:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                reader.receive_data(client.recv(1 << 16))
            elif isinstance(event, h11.InformationalResponse):
                answer.interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                answer.status = event.status_code
            elif isinstance(event, h11.Data):
                answer.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                answer.whole = True
            else:
                break
    except (ConnectionError, h11.RemoteProtocolError):
        pass  # It stays cut.
    answer.rest = reader.trailing_data[0]
    return answer


def exchange(proxy, request):
    """One request on a connection of its own, and its answer."""
    with connect(proxy) as client:
        client.sendall(request)
        return read_answer(client, request.split(b" ", 1)[0].decode())


def at_once(act, rows, threads=24):
    """Runs `act` for every row, several at a time; the results in order."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(act, rows))
