"""Slow, rude and lying peers: the proxy outlives them and forgets them."""

import random
import threading
import time

import pytest

from adversary_metrics import Metrics, open_files, resident_bytes
from adversary_world import (
    OK, Backend, Proxy, answering, at_once, connect, exchange, get, read_answer, reset,
)  # fmt: skip
from servers import wait_until

MIB = 1 << 20
# What rows may leave behind in pools and in the allocator: a chunked body at
# the limit of 32 MiB, which doubles as it grows, leaves a hundred.
RESIDENT_BYTES_MAX = 160 * MIB

BODY = b'{"model":"m","messages":[]}'
REQUESTS = {
    "get": get("/ok"),
    "length": get("/ok", "POST", f"Content-Length: {len(BODY)}\r\n") + BODY,
    "chunked": get("/ok", "POST", "Transfer-Encoding: chunked\r\n") + b"5;x=y\r\nhello\r\n3\r\nyou\r\n0\r\nA: b\r\n\r\n",
}
EVENTS = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n'
EVENT_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKS = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (20, EVENTS[:20], len(EVENTS) - 20, EVENTS[20:])
# Each with the body that a client is to get.
ANSWERS = {
    "length": (OK, b"ok"),
    "chunked": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a\r\nhe\r\n3\r\nllo\r\n0\r\nT: u\r\n\r\n", b"hello"),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
    "no body": (b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n", b""),
    "after interim ones": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, b"ok"),
    "events": (EVENT_STREAM + b"transfer-encoding: chunked\r\n\r\n" + CHUNKS, EVENTS),
    "events until close": (EVENT_STREAM + b"\r\n" + EVENTS, EVENTS),
    "events of a length": (EVENT_STREAM + b"content-length: %d\r\n\r\n" % len(EVENTS) + EVENTS, EVENTS),
}


@pytest.fixture(scope="module")
def backend():
    backend = Backend()
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def admin(tmp_path_factory):
    return tmp_path_factory.mktemp("adversary") / "admin"


@pytest.fixture(scope="module")
def proxy(backend, admin):
    proxy = Proxy(backend, admin)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def files_at_rest(proxy, admin):
    """Open files when the proxy has served and all is over."""
    metrics = Metrics(admin)
    assert exchange(proxy, get("/ok")).body == b"ok"
    figures = metrics.come_to_rest()
    wait_until(lambda: metrics.read()["tokenring_backend_connections_idle"] == 0, "the pool is empty")
    files = open_files(proxy.pid)
    metrics.close()
    return files - figures["tokenring_connections_open"]


@pytest.fixture(autouse=True)
def leaves_nothing_behind(proxy, admin, files_at_rest):
    """After every row: alive, at rest, small, and still of use."""
    yield
    assert proxy.runs
    metrics = Metrics(admin)
    answer = exchange(proxy, get("/ok"))
    assert (answer.status, answer.body) == (200, b"ok")
    metrics.come_to_rest()
    metrics.close()
    wait_until(lambda: open_files(proxy.pid) <= files_at_rest, "the files are closed")
    assert resident_bytes(proxy.pid) < RESIDENT_BYTES_MAX


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


def path_for(name):
    """Streams are read as such where their API is."""
    return "/v1/chat/completions" if name.startswith("events") else "/row"


def ask(path):
    return get(path, "POST", f"Content-Length: {len(BODY)}\r\n") + BODY


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_in_two_pieces_cut_at_any_byte(proxy, backend, name):
    answer, body = ANSWERS[name]

    def in_two(at):
        path = f"{path_for(name)}?{name.replace(' ', '-')}-{at}"
        backend.scripts[path] = answering(answer[:at], answer[at:], pause=0.003, then="closes")
        return exchange(proxy, ask(path))

    for at, got in enumerate(at_once(in_two, range(1, len(answer))), 1):
        assert (got.status // 100, got.body, got.whole) == (2, body, True), f"cut at {at}: {got}"


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("end", ["closes", "resets"])
def test_a_backend_that_dies_at_any_byte_never_looks_whole(proxy, backend, name, end):
    answer, body = ANSWERS[name]

    def dies_at(at):
        path = f"{path_for(name)}?{name.replace(' ', '-')}-{end}-{at}"
        backend.scripts[path] = answering(answer[:at], then=end)
        return exchange(proxy, ask(path))

    # A close is the only end that this one has, wherever it comes.
    closes_to_end = name == "until close" and end == "closes"
    head_bytes = answer.rindex(b"\r\n\r\n") + 4 if "chunked" not in name else answer.index(b"\r\n\r\n") + 4
    for at, got in enumerate(at_once(dies_at, range(0, len(answer) - 1))):
        if got.status == 502:
            assert got.whole and b'"error"' in got.body, f"{at}: {got}"
        elif closes_to_end:
            assert got.whole and got.body == answer[head_bytes:at], f"{at}: {got}"
        elif name.startswith("events"):
            assert_told_in_band(at, got, EVENTS)
        else:
            assert got.status == 200 and not got.whole and body.startswith(got.body), f"{at}: {got}"


def assert_told_in_band(at, got, events):
    """A stream that was cut says so, unless its own end mark has come."""
    if b"[DONE]" in got.body:
        return
    assert got.status == 200 and not got.whole, f"{at}: {got}"
    came = got.body.find(b'data: {"error"')
    if came >= 0:
        assert events.startswith(got.body[:came].rstrip(b"\n")), f"{at}: {got}"


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


def test_an_answers_head_of_a_million_bytes_is_a_fault_of_the_backend(proxy, backend):
    for name, piece in {"fields": b"X: y\r\n" * 170_000, "line": b"X: " + MIB * b"y"}.items():
        backend.scripts[f"/huge-{name}"] = answering(b"HTTP/1.1 200 OK\r\n" + piece)
        assert exchange(proxy, get(f"/huge-{name}")).status == 502


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


def test_a_backend_that_sends_random_bytes_is_at_fault(proxy, backend):
    def ask_for(seed):
        chance = random.Random(seed)
        noise = chance.randbytes(chance.randrange(1, 2000))
        backend.scripts[f"/noise/{seed}"] = answering(noise, then=chance.choice(["closes", "resets"]))
        return exchange(proxy, get(f"/noise/{seed}"))

    for seed, answer in enumerate(at_once(ask_for, range(400))):
        assert (answer.status, answer.whole) == (502, True), f"seed {seed}: {answer}"


def test_a_backend_that_changes_bytes_at_random_hurts_itself_alone(proxy, backend):
    answers = [answer for answer, _ in ANSWERS.values()]

    def ask_for(seed):
        chance = random.Random(seed)
        answer = bytearray(chance.choice(answers))
        for _ in range(chance.randrange(1, 4)):
            answer[chance.randrange(len(answer))] = chance.randrange(256)
        backend.scripts[f"/changed/{seed}"] = answering(bytes(answer), then="closes")
        return exchange(proxy, get(f"/changed/{seed}"))

    for seed, answer in enumerate(at_once(ask_for, range(1000))):
        assert answer.status, f"seed {seed}: {answer}"


def telling(script):
    """The script, and a wait for its end."""
    ended = threading.Semaphore(0)

    def telling_script(connection, request):
        try:
            return script(connection, request)
        finally:
            ended.release()

    return telling_script, lambda: ended.acquire(timeout=5)


FOREIGN = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nforeign"


@pytest.mark.parametrize("pause", [0, 0.02], ids=["at once", "later"])
@pytest.mark.parametrize("extra", [b"x", b"\r\n", FOREIGN], ids=["a byte", "a line", "an answer"])
def test_bytes_behind_an_answer_reach_nobody(proxy, backend, extra, pause):
    pieces = (OK, extra) if pause else (OK + extra,)
    backend.scripts["/extra"], all_sent = telling(answering(*pieces, pause=pause))
    for _ in range(20):
        assert exchange(proxy, get("/extra")).body == b"ok"
        all_sent()
        answer = exchange(proxy, get("/ok"))
        assert (answer.status, answer.body) == (200, b"ok")


@pytest.mark.parametrize("pause", [0, 0.02], ids=["at once", "later"])
@pytest.mark.parametrize(
    "method, head",
    [("HEAD", b"200 OK\r\ncontent-length: %d"), ("GET", b"304 Not Modified\r\ncontent-length: %d"), ("GET", b"204 No Content\r\nx-length: %d")],
    ids=["HEAD", "304", "204"],
)
def test_a_body_where_none_belongs_reaches_nobody(proxy, backend, method, head, pause):
    head = b"HTTP/1.1 " + head % len(FOREIGN) + b"\r\n\r\n"
    pieces = (head, FOREIGN) if pause else (head + FOREIGN,)
    backend.scripts["/bodiless"], all_sent = telling(answering(*pieces, pause=pause))
    for _ in range(20):
        answer = exchange(proxy, get("/bodiless", method))
        assert answer.whole and answer.body == b""
        all_sent()
        answer = exchange(proxy, get("/ok"))
        assert (answer.status, answer.body) == (200, b"ok")


def test_endless_interim_answers_come_to_an_end(proxy, backend):
    backend.scripts["/interim"] = answering(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 10_000)
    answer = exchange(proxy, get("/interim"))
    assert answer.status == 502
    assert len(answer.interim) <= 8


def test_an_unasked_switch_of_protocols_is_a_fault_of_the_backend(proxy, backend):
    backend.scripts["/switch"] = answering(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nnoise")
    fields = "Connection: Upgrade\r\nUpgrade: x\r\n"
    assert exchange(proxy, get("/switch", fields=fields)).status == 502


def test_a_backend_that_never_answers_is_given_up(proxy, backend):
    def sleeps(connection, _request):
        return connection.recv(1) != b""

    backend.scripts["/silent"] = sleeps
    assert exchange(proxy, get("/silent")).status == 504


def test_a_backend_that_falls_silent_is_cut(proxy, backend):
    def stops(connection, _request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel")
        return connection.recv(1) != b""

    backend.scripts["/stops"] = stops
    answer = exchange(proxy, get("/stops"))
    assert (answer.status, answer.body, answer.whole) == (200, b"hel", False)


LARGE = bytes(8 * MIB)


def ask_at_length(path):
    return get(path, "POST", f"Content-Length: {len(LARGE)}\r\n") + LARGE


@pytest.mark.parametrize("then", ["closes", "resets"])
def test_an_early_refusal_of_a_large_body_reaches_its_client(proxy, backend, then):
    """The backend answers at the head and never reads the body."""
    refusal = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nlarge"
    backend.early["/early"] = answering(refusal, then=then, pause=0.05)
    for _ in range(10):
        answer = exchange(proxy, ask_at_length("/early"))
        assert (answer.status, answer.body) in [(413, b"large")]


def test_an_early_interim_answer_does_not_stop_the_body(proxy, backend):
    for status in (b"100 Continue", b"102 Processing", b"103 Early Hints"):
        backend.early["/interim-early"] = answering(b"HTTP/1.1 " + status + b"\r\n\r\n")
        answer = exchange(proxy, ask_at_length("/interim-early"))
        assert (answer.status, answer.body) == (200, b"ok"), status


FRAMING_FAULTS = {
    "two lengths": b"content-length: 2\r\ncontent-length: 2\r\n",
    "a list of lengths": b"content-length: 2, 2\r\n",
    "a signed length": b"content-length: +2\r\n",
    "an odd coding": b"transfer-encoding: xchunked\r\n",
    "a coding that we do not know": b"transfer-encoding: gzip, chunked\r\n",
    "chunked twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
    "a folded line": b"x: y\r\n z\r\n",
    "a bare line feed": b"x: y\n",
    "a bare carriage return": b"x: y\rz\r\n",
    "a blank before the colon": b"content-length : 2\r\n",
    "a NUL": b"x: \0\r\n",
}


@pytest.mark.parametrize("fields", FRAMING_FAULTS.values(), ids=FRAMING_FAULTS.keys())
def test_an_answer_whose_framing_is_doubtful_is_a_fault_of_the_backend(proxy, backend, fields):
    backend.scripts["/doubtful"] = answering(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nok")
    assert exchange(proxy, get("/doubtful")).status == 502


def test_a_backend_of_two_minds_about_its_body_is_not_asked_again(proxy, backend):
    """Chunks win over the length (RFC 9112 section 6.3)."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"
    connections = []

    def script(connection, _request):
        connections.append(connection.getpeername())
        connection.sendall(head + b"2\r\nok\r\n0\r\n\r\n")
        return True

    backend.scripts["/two-minds"] = script
    for _ in range(3):
        answer = exchange(proxy, get("/two-minds"))
        assert (answer.status, answer.body, answer.whole) == (200, b"ok", True)
    assert len(set(connections)) == 3


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


def alone(data):
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_whose_every_byte_comes_alone(proxy, name):
    with connect(proxy) as client:
        for byte in alone(REQUESTS[name]):
            client.sendall(byte)
            time.sleep(0.001)
        answer = read_answer(client)
    assert (answer.status, answer.body, answer.whole) == (200, b"ok", True)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_whose_every_byte_comes_alone(proxy, backend, name):
    answer, body = ANSWERS[name]
    path = f"{path_for(name)}?alone-{name.replace(' ', '-')}"
    backend.scripts[path] = answering(*alone(answer), pause=0.001, then="closes")
    got = exchange(proxy, ask(path))
    assert (got.status // 100, got.body, got.whole) == (2, body, True)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("then", ["closes", "resets"])
def test_a_backend_that_closes_what_it_said_to_keep_is_forgiven(proxy, backend, method, then):
    """Its end and our next request may meet on the way."""
    backend.scripts["/fickle"] = answering(OK, then=then)
    for _ in range(100):
        answer = exchange(proxy, get("/fickle", method))
        assert (answer.status, answer.body) == (200, b"ok")


def test_a_request_is_sent_twice_at_most(proxy, backend):
    asked = []

    def takes_and_closes(_connection, request):
        asked.append(request)
        return False

    backend.scripts["/takes"] = takes_and_closes
    for _ in range(10):
        assert exchange(proxy, get("/ok")).status == 200  # Leaves a connection in the pool.
        asked.clear()
        assert exchange(proxy, get("/takes")).status == 502
        assert len(asked) == 2
        asked.clear()
        assert exchange(proxy, get("/takes")).status == 502
        assert len(asked) == 1


def test_a_connection_that_answered_head_is_not_asked_again(proxy, backend):
    connections = []

    def script(connection, _request):
        connections.append(connection.getpeername())
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
        return True

    backend.scripts["/head"] = script
    for _ in range(3):
        assert exchange(proxy, get("/head", "HEAD")).status == 200
    assert len(set(connections)) == 3


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
