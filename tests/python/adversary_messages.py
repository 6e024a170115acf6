"""Requests and answers of every framing, to be cut, split and dripped."""

from adversary_world import OK, get

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


def path_for(name):
    """Streams are read as such where their API is."""
    return "/v1/chat/completions" if name.startswith("events") else "/row"


def ask(path):
    return get(path, "POST", f"Content-Length: {len(BODY)}\r\n") + BODY


def alone(data):
    return [data[at : at + 1] for at in range(len(data))]
