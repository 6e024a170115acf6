"""Slow and rude clients: the proxy outlives them and forgets them."""

import random
import time

import pytest

from adversary_fixtures import admin, backend, files_at_rest, leaves_nothing_behind, proxy  # noqa: F401
from adversary_messages import ANSWERS, REQUESTS, alone
from adversary_metrics import resident_bytes
from adversary_world import OK, answering, at_once, connect, exchange, get, read_answer, reset

MIB = 1 << 20


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS.keys())
@pytest.mark.parametrize("end", ["resets", "closes", "says no more"])
def test_a_client_that_stops_at_any_byte_of_its_request(proxy, request_bytes, end):
    def stop_at(at):
        client = connect(proxy)
        client.sendall(request_bytes[:at])
        if end == "resets":
            reset(client)
        elif end == "closes":
            client.close()
        else:
            with client:
                return read_answer(client).status
        return None

    statuses = at_once(stop_at, range(1, len(request_bytes)), threads=200)
    if end == "says no more":
        # The deadline is for the whole of it, and it is told.
        assert set(statuses) == {408}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_client_that_resets_at_any_byte_of_its_answer(proxy, backend, name):
    answer, _ = ANSWERS[name]
    backend.scripts["/slow"] = answering(answer[:-1], answer[-1:], pause=0.02, then="closes")

    def stop_at(at):
        client = connect(proxy)
        client.sendall(get("/slow"))
        if at:
            client.recv(at)
        reset(client)

    at_once(stop_at, range(0, len(answer)))


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_in_two_pieces_cut_at_any_byte(proxy, name):
    request_bytes = REQUESTS[name]

    def in_two(at):
        with connect(proxy) as client:
            client.sendall(request_bytes[:at])
            time.sleep(0.003)
            client.sendall(request_bytes[at:])
            return read_answer(client)

    for at, answer in enumerate(at_once(in_two, range(1, len(request_bytes))), 1):
        assert (answer.status, answer.body, answer.whole) == (200, b"ok", True), at


def test_a_head_that_drips_is_cut_at_its_deadline(proxy):
    with connect(proxy) as client:
        began = time.monotonic()
        try:
            for byte in get("/ok", fields=f"X: {1000 * 'y'}\r\n"):
                client.sendall(bytes([byte]))
                time.sleep(0.02)
                if time.monotonic() - began > 3:
                    break
        except ConnectionError:
            pass
        assert time.monotonic() - began < 3
        assert read_answer(client).status in (408, None)  # None: our bytes met a closed door.


def test_a_body_that_drips_is_cut_at_its_deadline(proxy):
    with connect(proxy) as client:
        client.sendall(get("/ok", "POST", "Content-Length: 1000\r\n"))
        client.settimeout(0.02)
        began, answer = time.monotonic(), b""
        while not answer and time.monotonic() - began < 3:
            client.sendall(b"x")
            try:
                answer = client.recv(4096)
            except TimeoutError:
                pass
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("line", [b"X: y\r\n", 40_000 * b"x", b"GET /", b"\x00"], ids=["fields", "line", "lines", "nul"])
def test_a_head_of_a_million_bytes_is_refused(proxy, line):
    with connect(proxy) as client:
        head = b"GET /ok HTTP/1.1\r\nHost: a\r\nX: " + line * (MIB // len(line))
        try:
            client.sendall(head)
        except ConnectionError:
            pass  # It need not be read to its end.
        answer = read_answer(client)
        assert answer.status in (400, 431, None)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_reader_that_stops_stops_the_backend_and_is_cut(proxy, backend, chunked):
    size = 256 * MIB
    sent = []

    def flood(connection, _request):
        framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % size
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        block = (b"10000\r\n" if chunked else b"") + (1 << 16) * b"x" + (b"\r\n" if chunked else b"")
        while sum(sent) < size:
            sent.append(connection.send(block))
        return False

    backend.scripts["/flood"] = flood
    before = resident_bytes(proxy.pid)
    with connect(proxy, receive_buffer=4096) as client:
        client.sendall(get("/flood"))
        time.sleep(0.5)
        # What the kernel's buffers take, and no more.
        assert sum(sent) < 32 * MIB
        assert resident_bytes(proxy.pid) < before + 8 * MIB
        time.sleep(1.5)
    assert sum(sent) < 32 * MIB


def test_garbage_behind_a_request_leaves_its_answer_whole(proxy):
    chance = random.Random(5)
    for _ in range(200):
        with connect(proxy) as client:
            client.sendall(get("/ok") + chance.randbytes(chance.randrange(1, 300)) + b"\n")
            answer = read_answer(client)
            assert (answer.status, answer.body, answer.whole) == (200, b"ok", True)
            # Then it is refused, and closed.
            rest = answer.rest
            while data := client.recv(1 << 16):
                rest += data
            assert rest.startswith(b"HTTP/1.1 4")


def test_a_thousand_connections_that_send_nothing_are_in_nobodys_way(proxy):
    clients = [connect(proxy) for _ in range(1000)]
    assert exchange(proxy, get("/ok")).body == b"ok"
    for client in clients:
        assert client.recv(1) == b""  # Closed at the deadline.
        client.close()


def test_pipelined_requests_are_answered_in_their_order(proxy, backend):
    """Also when the first answers are the slowest."""
    count = 60

    def script(connection, request):
        number = request.split(b" ", 2)[1].rpartition(b"/")[2]
        time.sleep(0.02 if int(number) < 5 else 0)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(number), number))
        return True

    for number in range(count):
        backend.scripts[f"/turn/{number}"] = script
    requests = b"".join(get(f"/turn/{number}") for number in range(count))
    with connect(proxy) as client:
        client.sendall(requests)
        bodies, answer = [], None
        for _ in range(count):
            answer = read_answer(client, held=answer.rest if answer else b"")
            bodies.append(answer.body)
    assert bodies == [b"%d" % number for number in range(count)]


def test_a_client_that_never_reads_while_it_sends_ahead(proxy):
    """Its requests wait in its own buffers, not in ours."""
    before = resident_bytes(proxy.pid)
    with connect(proxy, receive_buffer=4096) as client:
        client.settimeout(0.5)
        try:
            while True:
                client.sendall(1000 * get("/ok"))
        except OSError:
            pass  # It takes no more, or it has cut us.
        assert resident_bytes(proxy.pid) < before + 8 * MIB


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_whose_every_byte_comes_alone(proxy, name):
    with connect(proxy) as client:
        for byte in alone(REQUESTS[name]):
            client.sendall(byte)
            time.sleep(0.001)
        answer = read_answer(client)
    assert (answer.status, answer.body, answer.whole) == (200, b"ok", True)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_that_is_too_large_is_refused_in_words(proxy, chunked):
    """The limit is 32 MiB; the client sends on, and still reads why."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {64 * MIB}"
    block = b"100000\r\n" + MIB * b"x" + b"\r\n" if chunked else MIB * b"x"
    before = resident_bytes(proxy.pid)
    with connect(proxy) as client:
        client.sendall(get("/ok", "POST", framing + "\r\n"))
        try:
            for _ in range(64):
                client.sendall(block)
        except ConnectionError:
            pass  # It has been refused already.
        assert read_answer(client).status == 413
    assert resident_bytes(proxy.pid) < before + 80 * MIB


def test_a_body_that_is_only_announced_takes_no_room_from_others(proxy):
    """The sum of all announcements is above the limit on body memory, 1 GiB."""
    announcement = get("/ok", "POST", f"Content-Length: {32 * MIB}\r\n")
    clients = [connect(proxy) for _ in range(64)]
    for client in clients:
        client.sendall(announcement)
    time.sleep(0.1)
    answer = exchange(proxy, get("/ok", "POST", "Content-Length: 2\r\n") + b"hi")
    assert (answer.status, answer.body) == (200, b"ok")
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    "lines, list_",
    [("", ""), ("X-Forwarded-For:\r\n", ""), ("X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\n", "1.1.1.1, 2.2.2.2, 3.3.3.3, ")],
    ids=["none", "empty", "two lines"],
)
def test_nobody_is_lost_from_the_list_of_forwarders(proxy, backend, lines, list_):
    heads = []

    def script(connection, request):
        heads.append(request)
        return answering(OK)(connection, request)

    backend.scripts["/forwarded"] = script
    assert exchange(proxy, get("/forwarded", fields=lines)).status == 200
    assert f"\r\nx-forwarded-for: {list_}127.0.0.1\r\n".encode() in heads[0]
