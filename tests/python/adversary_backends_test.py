"""Lying and dying backends: nobody gets what is not theirs, or half for whole."""

import random
import threading

import pytest

from adversary_fixtures import admin, backend, files_at_rest, leaves_nothing_behind, proxy  # noqa: F401
from adversary_messages import ANSWERS, EVENTS, alone, ask, path_for
from adversary_world import OK, Proxy, answering, at_once, exchange, get

MIB = 1 << 20


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


def test_an_answers_head_of_a_million_bytes_is_a_fault_of_the_backend(proxy, backend):
    for name, piece in {"fields": b"X: y\r\n" * 170_000, "line": b"X: " + MIB * b"y"}.items():
        backend.scripts[f"/huge-{name}"] = answering(b"HTTP/1.1 200 OK\r\n" + piece)
        assert exchange(proxy, get(f"/huge-{name}")).status == 502


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


def test_a_request_is_sent_twice_at_most_where_nothing_is_retried(backend, admin):
    """Once more where the connection had served before, as it may have ended by itself."""
    proxy = Proxy(backend, admin.with_name("admin-of-one"), "--retry-attempts", "1")
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
    proxy.stop()


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
