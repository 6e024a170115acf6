"""Sends inputs through the proxy and records every byte that it forwards.

Each client has a loopback address of its own, which the proxy names in
x-forwarded-for: so each forwarded request is known by its input, and no byte
of an input has to change for it. Each answer closes the backend connection: so
what one connection brought is what one input made the proxy send.
"""

import re
import selectors
import socket
import time

CONNECTIONS_MAX = 400
SECONDS_MAX = 6
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
# Every deadline a client can meet: each input then ends by itself, and soon.
# The last ones are about inputs that are cut short.
HASTE = [
    *("--head-timeout", "300ms", "--body-rate-grace", "300ms", "--body-rate-min", "1GiB"),
    *("--keep-alive-timeout", "20ms", "--rest-before-idle", "10ms"),
]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# The one form in which a request is forwarded.
CANONICAL = re.compile(
    rb"(?P<method>" + TOKEN + rb") (?P<target>[!\"$-~]+) HTTP/1\.1\r\n"
    rb"host: (?P<host>[!-~]+)\r\n"
    rb"(?P<fields>(?:" + TOKEN + rb": (?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?\r\n)*)"
    rb"\r\n(?P<body>.*)",
    re.DOTALL,
)
LENGTH = re.compile(rb"^content-length: (0|[1-9][0-9]*)\r\n", re.MULTILINE)
SENDER = re.compile(rb"^x-forwarded-for: (?:[^\r\n]*, )?127\.(\d+)\.(\d+)\.(\d+)\r\n", re.MULTILINE)
# What one hop keeps to itself.
HOP = re.compile(
    rb"^(?:connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|http2-settings"
    rb"|proxy-[^:]*|host)[ \t]*:",
    re.MULTILINE | re.IGNORECASE,
)


class Forwarded:
    """What one backend connection brought."""

    def __init__(self, data):
        self.data = data
        self.fault = None
        read = CANONICAL.fullmatch(data)
        if not read:
            self.fault = "not in the one form"
            return
        fields, body = read["fields"], read["body"]
        lengths = re.findall(rb"^content-length[ \t]*:", fields, re.MULTILINE | re.IGNORECASE)
        length = LENGTH.search(fields)
        if len(lengths) != (1 if length else 0):
            self.fault = f"{len(lengths)} lengths"
        elif len(body) != (int(length[1]) if length else 0):
            self.fault = f"a body of {len(body)} bytes"
        elif hop := HOP.search(fields):
            self.fault = f"forwards {hop[0]}"
        self.seen = (read["method"].decode(), read["target"].decode(), body)


def sender_of(data):
    head = data.partition(b"\r\n\r\n")[0] + b"\r\n"
    found = SENDER.findall(head)
    if not found:
        return None
    high, middle, low = map(int, found[-1])
    return (high << 16 | middle << 8 | low) - FIRST_SENDER


# 127.1.0.1, so that no input comes from where everything else does.
FIRST_SENDER = 1 << 16 | 1


def address_of(index):
    number = FIRST_SENDER + index
    return f"127.{number >> 16}.{number >> 8 & 255}.{number & 255}"


class Outcome:
    """What became of one input."""

    def __init__(self):
        self.forwarded = []
        self.answers = b""
        self.hung = False

    @property
    def statuses(self):
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.answers)]


class Capture:
    """One loop that is every client and the backend."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self.port = self._listener.getsockname()[1]
        self.unattributed = []
        self._clients = {}

    def close(self):
        self._selector.close()
        self._listener.close()

    def run(self, cases, proxy_port):
        """The outcome of each case, in their order."""
        self._outcomes = [Outcome() for _ in cases]
        waiting = iter(enumerate(cases))
        deadlines = {}
        while True:
            while len(self._clients) < CONNECTIONS_MAX and (following := next(waiting, None)):
                self._send(*following, proxy_port)
                deadlines[following[0]] = time.monotonic() + SECONDS_MAX
            if not self._clients:
                break
            for key, _ in self._selector.select(0.5):
                key.data(key.fileobj)
            now = time.monotonic()
            for index in [index for index in self._clients if deadlines[index] < now]:
                self._outcomes[index].hung = True
                self._drop(self._clients.pop(index))
        self._settle()
        return self._outcomes

    def _send(self, index, case, proxy_port):
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((address_of(index), 0))
        client.connect(("127.0.0.1", proxy_port))
        client.sendall(case.data)
        if case.ends:
            client.shutdown(socket.SHUT_WR)
        client.setblocking(False)
        self._clients[index] = client
        self._selector.register(client, selectors.EVENT_READ, lambda _: self._client(index))

    def _client(self, index):
        data = receive(self._clients[index])
        if data:
            self._outcomes[index].answers += data
        elif data is not None:
            self._drop(self._clients.pop(index))

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            record = bytearray()
            self._selector.register(
                connection, selectors.EVENT_READ, lambda _, c=connection, r=record: self._backend(c, r)
            )

    def _backend(self, connection, record):
        data = receive(connection)
        if data:
            whole = is_whole(record)
            record += data
            if not whole and is_whole(record):
                connection.send(ANSWER)
        elif data is not None:
            self._drop(connection)
            index = sender_of(bytes(record))
            if index is None:
                if record:
                    self.unattributed.append(bytes(record))
            else:
                self._outcomes[index].forwarded.append(Forwarded(bytes(record)))

    def _settle(self):
        """The backend connections that are still being closed."""
        end = time.monotonic() + 1
        while time.monotonic() < end and (events := self._selector.select(0.1)):
            for key, _ in events:
                key.data(key.fileobj)

    def _drop(self, connection):
        self._selector.unregister(connection)
        connection.close()


def receive(connection):
    """Bytes, b"" at the end, None when there are none yet."""
    try:
        return connection.recv(1 << 17)
    except BlockingIOError:
        return None
    except ConnectionError:
        return b""


def is_whole(record):
    """Whether a request in the one form is complete."""
    head = record.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = LENGTH.search(bytes(record[: head + 2]))
    return len(record) >= head + 4 + (int(length[1]) if length else 0)
