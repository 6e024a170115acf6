"""Requests that two receivers may read in two ways, and what we may make of them.

Each case says which requests a proxy may forward for it, in order. It may
always stop early: what is refused is safe. It may never forward another one.
"""

import dataclasses
import os
import pathlib
import re

HOST = b"Host: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    # Every story that may be told of it, each a tuple of requests. None: any
    # will do, as long as every receiver tells the same.
    stories: tuple | None
    # It is refused or taken as a whole: which, is a fact and no choice.
    exact: bool = False
    # The client ends its side once all is sent.
    ends: bool = False

    def permits(self, forwarded):
        if self.stories is None:
            return True
        if self.exact:
            return forwarded in self.stories
        return any(forwarded == story[: len(forwarded)] for story in self.stories)


def request(method="POST", target="/t", body=b""):
    """A request as a receiver sees it."""
    return (method, target, body)


POSTED = request(body=b"hello")
EMPTY = request()
NEXT = request("GET", "/smuggled")


def refused(name, data):
    return Case(name, data, ((),), exact=True)


def taken(name, data, *story):
    return Case(name, data, (story,), exact=True)


def post(fields, body=b"", line=b"POST /t HTTP/1.1\r\n"):
    return line + HOST + fields + b"\r\n" + body


def length(body):
    return b"Content-Length: %d\r\n" % len(body)


# Transfer-Encoding values that some receiver takes for chunked, or for none.
ODD_CODINGS = [
    b"xchunked", b"chunkedx", b"chunked, x", b"x, chunked", b"chunked, chunked", b"chunked,",
    b",chunked", b", chunked", b"chunked;q=1", b"chunked;", b'"chunked"', b"'chunked'", b"[chunked]",
    b"chunke\xe4", b"\x0bchunked", b"\x0cchunked", b"chunked\x0b", b"chunked\x0c", b"\x00chunked",
    b"chunked\x00", b"\xa0chunked", b"\xefchunked", b"identity", b"identity, chunked",
    b"chunked, identity", b"gzip, chunked", b"gzip", b"cow", b"", b"chunk", b"chunked chunked",
    b"\r\n chunked", b"\r\n\tchunked", b"x\r\n chunked", b"chunked\r\n x", b"\n chunked", b"\rchunked",
    b"chunked\r", b"chunked\n", b"deflate,chunked", b"chu\tnked", b"chunked\t, ", b"{chunked}",
]  # fmt: skip
PLAIN_CODINGS = [b"chunked", b"CHUNKED", b"cHuNkEd", b" chunked", b"\tchunked", b"chunked \t"]
# Lines that look like Transfer-Encoding to somebody.
ODD_CODING_LINES = [
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b" Transfer-Encoding: chunked",
    b"\tTransfer-Encoding: chunked", b"Transfer_Encoding: chunked", b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked", b"Transfer-Encoding\r\n : chunked", b"Transfer-Encoding",
    b"Transfer-Encoding chunked", b"\x00Transfer-Encoding: chunked", b"Transfer Encoding: chunked",
    b"Transfer-Encoding\x0b: chunked", b"Transfer-Encoding\xa0: chunked", b": chunked",
    b"X: y\r\n Transfer-Encoding: chunked", b"X: y\r\r\nTransfer-Encoding: chunked",
]  # fmt: skip
ODD_LENGTHS = [
    b"+5", b"-5", b"-0", b"5,5", b"5, 5", b"5 5", b"0x5", b"5.0", b"5e0", b"5_0", b"", b"five", b"5;",
    b'"5"', b"\x0b5", b"5\x00", b"\xa05", b"\xb2", b"9223372036854775808", b"18446744073709551621",
    b"340282366920938463463374607431768211461", b"99999999999999999999", b"5\r\n 0", b"\r\n 5", b"0,5",
    b"5\r", b"5\n", b"\xef\xbc\x95",
]  # fmt: skip
ODD_CHUNKS = [
    b"\r\nhello\r\n0\r\n\r\n", b";\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n", b"5_0\r\nhello\r\n0\r\n\r\n",
    b"5 ;x\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"5\rXhello\r\n0\r\n\r\n",
    b"5\r\rhello\r\n0\r\n\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n", b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    b"5;\n\r\nhello\r\n0\r\n\r\n", b"5;a\x00\r\nhello\r\n0\r\n\r\n", b"5;" + 257 * b"a" + b"\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n", b"5\r\nhello\r\n0\n\n", b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    b"5\r\nhello\r\n0\r\n X: y\r\n\r\n", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n", b"5\r\nhello\r\n0\r\nX: y\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\rz\r\n\r\n", b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"8000000000000000\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n", b"g\r\nhello\r\n0\r\n\r\n",
    b"\n5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n\r\n0\r\n\r\n", b"5\r\nhello\r\n-0\r\n\r\n", b"5\xa0\r\nhello\r\n0\r\n\r\n",
]  # fmt: skip
PLAIN_CHUNKS = [
    HELLO, b"05\r\nhello\r\n000\r\n\r\n", b"5;a=b\r\nhello\r\n0;c=\"d e\"\r\n\r\n",
    b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n",
    b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0000000000000005\r\nhello\r\n0\r\n\r\n",
]  # fmt: skip
ODD_HOSTS = [
    b"", b"a,b", b"u@a", b"u:p@a", b"a/b", b"a b", b"a\tb", b"a?b", b"a#b", b"a\\b", b"a:", b"a:x", b"a:+1",
    b"a:99999", b":80", b"[::1", b"[]", b"\xe4", b"a\x00", b"a\x0b", b'"a"', b"a\r\n b", b"http://a", b"a%0",
]  # fmt: skip
PLAIN_HOSTS = [b"a", b"a:80", b"[::1]", b"[::1]:80", b"10.0.0.1", b"A.b", b"ex%41mple", b"a!$&'()*+;=b"]
ODD_LINES = [
    b"POST  /t HTTP/1.1", b"POST /t  HTTP/1.1", b" POST /t HTTP/1.1", b"POST /t HTTP/1.1 ", b"POST\t/t\tHTTP/1.1",
    b"POST /t\tHTTP/1.1", b"POST /t", b"POST", b"POST /t HTTP/1.2", b"POST /t HTTP/2.0", b"POST /t HTTP/0.9",
    b"POST /t HTTP/1.10", b"POST /t HTTP/01.1", b"POST /t http/1.1", b"POST /t HTTP/1.1x", b"POST /t HTTP/1,1",
    b"POST /t HTTPS/1.1", b"POST /t#f HTTP/1.1", b"POST t HTTP/1.1", b"POST * HTTP/1.1", b"POST a:80 HTTP/1.1",
    b"POST //a@b HTTP/1.1 HTTP/1.1", b"POST /\xe4 HTTP/1.1", b"POST /\x00 HTTP/1.1", b"POST /\x7f HTTP/1.1",
    b"PO(ST /t HTTP/1.1", b"PO\x00ST /t HTTP/1.1", b"P\xd6ST /t HTTP/1.1", b" /t HTTP/1.1", b"POST /t\r HTTP/1.1",
    b"\r\nPOST /t HTTP/1.1", b"\nPOST /t HTTP/1.1", b"\r\n\r\nPOST /t HTTP/1.1", b"\x00POST /t HTTP/1.1",
    b"CONNECT a:80 HTTP/1.1", b"CONNECT /t HTTP/1.1", b"TRACE /t HTTP/1.1", b"POST ftp://a/t HTTP/1.1",
    b"POST http:///t HTTP/1.1", b"POST http://b/t HTTP/1.1", b"POST http://u@a/t HTTP/1.1", b"POST http:a/t HTTP/1.1",
    b"POST http://a?q HTTP/1.1", b"POST http://a#f HTTP/1.1", b"POST http://a,b/t HTTP/1.1", b"POST http://a\\b/t HTTP/1.1",
    b"POST http://a:81/t HTTP/1.1", b"PRI * HTTP/2.0",
]  # fmt: skip
# With the target under which the backend is to see it.
PLAIN_LINES = [
    (b"POST http://a/t?q=1 HTTP/1.1", "/t?q=1"), (b"POST HTTP://A/t HTTP/1.1", "/t"), (b"POST http://a HTTP/1.1", "/"),
    (b"POST https://a/t HTTP/1.1", "/t"), (b"POST //t HTTP/1.1", "//t"), (b"POST /t?http://b/ HTTP/1.1", "/t?http://b/"),
    (b"POST /a;b=c,d:@&=+$!*'() HTTP/1.1", "/a;b=c,d:@&=+$!*'()"), (b"POST /%74 HTTP/1.1", "/%74"),
    (b"POST /t?a?b=/../ HTTP/1.1", "/t?a?b=/../"), (b"POST /" + 4000 * b"x" + b" HTTP/1.1", "/" + 4000 * "x"),
]  # fmt: skip


def framings():
    """Two lengths, lengths that are none, and codings that are none."""
    yield taken("length", post(length(b"hello"), b"hello"), POSTED)
    yield taken("length, pipelined", post(length(b"hello"), b"hello" + SMUGGLED), POSTED, NEXT)
    yield refused("CL.TE", post(length(b"0\r\n\r\nG") + CHUNKED, b"0\r\n\r\nG"))
    yield refused("TE.CL", post(CHUNKED + b"Content-Length: 3\r\n", b"8\r\nSMUGGLED\r\n0\r\n\r\n"))
    for first, second in [(b"5", b"5"), (b"5", b"0"), (b"0", b"5"), (b"5", b"6")]:
        lines = b"Content-Length: %s\r\ncontent-length: %s\r\n" % (first, second)
        yield refused(f"lengths {first} and {second}", post(lines, b"hello" + SMUGGLED))
    yield taken("CL.0", post(b"Content-Length: 34\r\n", SMUGGLED), request(body=SMUGGLED[:34]))
    yield taken("0.CL", post(b"Content-Length: 0\r\n", SMUGGLED), EMPTY, NEXT)
    yield taken("no framing", post(b"", SMUGGLED), EMPTY, NEXT)
    yield taken("no framing, then a body", post(b"", HELLO), EMPTY)
    for value in ODD_LENGTHS:
        line = b"Content-Length: " + value + b"\r\n"
        yield refused(f"length {value}", post(line, b"hello" + SMUGGLED))
        yield refused(f"length {value} and another", post(line + length(b"hello"), b"hello" + SMUGGLED))
        yield refused(f"length {value} and chunked", post(line + CHUNKED, HELLO + SMUGGLED))
    for value in PLAIN_CODINGS:
        line = b"Transfer-Encoding:" + value + b"\r\n"
        yield taken(f"coding {value}", post(line, HELLO + SMUGGLED), POSTED, NEXT)
        yield refused(f"coding {value} and length", post(line + length(HELLO), HELLO))
    for line in [b"Transfer-Encoding: " + value for value in ODD_CODINGS] + ODD_CODING_LINES:
        line += b"\r\n"
        for beside, body in {b"": HELLO, CHUNKED: HELLO, length(HELLO): HELLO, b"Content-Length: 4\r\n": b"0028"}.items():
            yield refused(f"{line} before {beside}", post(line + beside, body + SMUGGLED))
            yield refused(f"{line} after {beside}", post(beside + line, body + SMUGGLED))
    yield refused("chunked on 1.0", post(CHUNKED, HELLO, b"POST /t HTTP/1.0\r\n"))
    yield taken("length on 1.0", post(length(b"hello"), b"hello", b"POST /t HTTP/1.0\r\n"), POSTED)
    yield taken("hidden by Connection", post(b"Connection: content-length, host, te\r\n" + length(b"hello"), b"hello"), POSTED)
    hidden = b"Connection: close, Transfer-Encoding\r\n" + CHUNKED
    yield taken("chunked hidden by Connection", post(hidden, HELLO), POSTED)
    for index, body in enumerate(ODD_CHUNKS):
        yield Case(f"chunks {index} {body[:40]}", post(CHUNKED, body + SMUGGLED), ((),), exact=True)
    for body in PLAIN_CHUNKS:
        yield taken(f"chunks {body}", post(CHUNKED, body + SMUGGLED), POSTED, NEXT)


def heads():
    """Hosts, request lines and methods."""
    for value in ODD_HOSTS:
        yield refused(f"host {value}", b"POST /t HTTP/1.1\r\nHost: " + value + b"\r\n\r\n")
    for value in PLAIN_HOSTS:
        yield taken(f"host {value}", b"POST /t HTTP/1.1\r\nHost: " + value + b"\r\n\r\n", EMPTY)
    yield refused("no host", b"POST /t HTTP/1.1\r\n\r\n")
    yield taken("no host on 1.0", b"POST /t HTTP/1.0\r\n\r\n", EMPTY)
    yield refused("two hosts", post(b"Host: b\r\n"))
    yield refused("a host twice", post(HOST))
    for line in ODD_LINES:
        yield refused(f"line {line}", post(b"", SMUGGLED, line + b"\r\n"))
    for line, target in PLAIN_LINES:
        yield taken(f"line {line[:60]}", post(b"", b"", line + b"\r\n"), request(target=target))
    yield taken("OPTIONS *", post(b"", b"", b"OPTIONS * HTTP/1.1\r\n"), request("OPTIONS", "*"))
    yield taken("OPTIONS of a host", post(b"", b"", b"OPTIONS http://a HTTP/1.1\r\n"), request("OPTIONS", "*"))
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "get", "M-X", "M_X", "M!#$%&'*+.^`|~"]:
        line = f"{method} /t HTTP/1.1\r\n".encode()
        asked = request(method, body=b"hello")
        yield taken(f"{method} with length", post(length(b"hello"), b"hello" + SMUGGLED, line), asked, NEXT)
        yield taken(f"{method} with chunks", post(CHUNKED, HELLO + SMUGGLED, line), asked, NEXT)
        yield taken(f"{method} without body", post(b"", SMUGGLED, line), request(method), NEXT)
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nUpgrade: "
    for protocol in [b"h2c", b"websocket", b"TLS/1.0", b"h2c, websocket"]:
        fields = upgrade + protocol + b"\r\n"
        yield taken(f"upgrade to {protocol}", post(fields + length(b"hello"), b"hello" + SMUGGLED), POSTED, NEXT)
        yield taken(f"upgrade to {protocol}, chunked", post(fields + CHUNKED, HELLO + SMUGGLED), POSTED, NEXT)
    expect = b"Expect: 100-continue\r\n"
    yield taken("expect", post(expect + length(b"hello"), b"hello" + SMUGGLED), POSTED, NEXT)
    yield taken("expect, chunked", post(expect + CHUNKED, HELLO + SMUGGLED), POSTED, NEXT)
    yield taken("expect without body", post(expect, SMUGGLED), EMPTY, NEXT)
    for value in [b"101-continue", b"100-continue, x", b"", b"100-continue\r\nExpect: 100-continue", b"100 continue"]:
        yield refused(f"expect {value}", post(b"Expect: " + value + b"\r\n" + length(b"hello"), b"hello"))
    for garbage in [b"\r\n", b"\x00", b"\r\n\r\n", b"GARBAGE\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\n", b"GET\r\n"]:
        yield taken(f"request, then {garbage}", post(length(b"hello"), b"hello" + garbage), POSTED)
        yield taken(f"request, then {garbage} and a request", post(CHUNKED, HELLO + garbage + SMUGGLED), POSTED)
    yield refused("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    yield refused("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
    yield refused("101 fields", post(b"X: y\r\n" * 100))
    yield taken("100 fields", post(b"X: y\r\n" * 99), EMPTY)
    yield refused("a head too long", post(b"X: " + 33_000 * b"y" + b"\r\n"))
    yield refused("a target too long", post(b"", b"", b"POST /" + 9_000 * b"x" + b" HTTP/1.1\r\n"))
    yield taken("bytes above ASCII", post(b"X: \xe4\xff\x80 \t y\r\n" + length(b"hello"), b"hello"), POSTED)
    for name in [b"Content_Length", b"Content-Type_", b"X_Api_Key", b"x-forwarded_for", b"TRANSFER_ENCODING"]:
        stories = ((), (EMPTY,), (EMPTY, NEXT))
        yield Case(f"name {name}", post(name + b": 5\r\n", SMUGGLED), stories)


PLACES = 8


def insert(name, value, place, byte):
    """The line `name: value` with a byte put in at one of eight places."""
    half = len(name) // 2
    pieces = [b"", name[:half], name[half:], b":", b" ", value[: len(value) // 2], value[len(value) // 2 :], b"\r"]
    pieces[place] += bytes([byte])
    return b"".join(pieces) + b"\n"


def swept_fields():
    """Every byte at every place in the lines that frame, beside other such lines."""
    filler = b"hello" + 94 * b"x" + b"\r\n\r\n"
    for place in range(PLACES):
        for byte in range(256):
            coding = insert(b"Transfer-Encoding", b"chunked", place, byte)
            size = insert(b"Content-Length", b"5", place, byte)
            host = insert(b"Host", b"a", place, byte)
            at = f"byte {byte:#04x} at place {place}"
            other_field = ((EMPTY,), (POSTED, NEXT))
            yield Case(f"coding, {at}", post(coding, HELLO + SMUGGLED), other_field)
            yield Case(f"coding twice, {at}", post(coding + CHUNKED, HELLO + SMUGGLED), ((POSTED, NEXT),))
            raw = (request(body=HELLO), NEXT)
            yield Case(f"coding and length, {at}", post(length(HELLO) + coding, HELLO + SMUGGLED), (raw,))
            yield Case(f"length and coding, {at}", post(size + CHUNKED, HELLO + SMUGGLED), ((POSTED, NEXT),))
            sizes = {0, 5} | ({int(f"{byte - 48}5"), int(f"5{byte - 48}")} if 48 <= byte < 58 else set())
            stories = tuple((request(body=filler[:n]),) for n in sizes)
            yield Case(f"length, {at}", post(size, filler), stories)
            yield Case(f"host, {at}", b"POST /t HTTP/1.1\r\n" + host + b"\r\n" + SMUGGLED, ((EMPTY, NEXT),))
            yield Case(f"host twice, {at}", post(host, SMUGGLED), ((EMPTY, NEXT),))


def swept_lines_and_chunks():
    """Every byte at every place in a request line and in a chunked body."""
    line = b"POST /t HTTP/1.1"
    for at in range(len(line) + 1):
        for byte in range(256):
            odd = line[:at] + bytes([byte]) + line[at:]
            story = tuple(odd.decode("latin-1").split(" ")[:2])
            stories = ((request(*story), NEXT),) if len(story) == 2 else ((),)
            yield Case(f"line, {byte:#04x} at {at}", post(b"", SMUGGLED, odd + b"\r\n"), stories)
    body = b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
    for at in range(len(body) + 1):
        for byte in range(256):
            odd = body[:at] + bytes([byte]) + body[at:]
            # Behind the body it is the first of the next request's method.
            following = NEXT if at < len(body) else (chr(byte) + NEXT[0], *NEXT[1:])
            yield Case(f"chunks, {byte:#04x} at {at}", post(CHUNKED, odd + SMUGGLED), ((POSTED, following), (POSTED, NEXT)))


def cut(cases, bytes_max=400):
    """Each case cut at every byte, by a client that then ends its side."""
    for case in cases:
        if len(case.data) <= bytes_max and not case.ends:
            for at in range(1, len(case.data)):
                name = f"{case.name}, cut at {at}"
                yield Case(name, case.data[:at], case.stories, ends=True)


def rfc_9112():
    """The requests that RFC 9112 itself shows."""
    agent = b"User-Agent: curl/7.64.1\r\nHost: www.example.com\r\nAccept-Language: en, mi\r\n\r\n"
    yield taken("RFC 9112, 2.1", b"GET /hello.txt HTTP/1.1\r\n" + agent, request("GET", "/hello.txt"))
    for line, method, target in [
        (b"GET /where?q=now HTTP/1.1", "GET", "/where?q=now"),
        (b"GET http://www.example.org/pub/WWW/TheProject.html HTTP/1.1", "GET", "/pub/WWW/TheProject.html"),
        (b"OPTIONS * HTTP/1.1", "OPTIONS", "*"),
    ]:  # fmt: skip
        yield taken(f"RFC 9112, {line}", line + b"\r\nHost: www.example.org\r\n\r\n", request(method, target))
    yield refused("RFC 9112, 3.2.3", b"CONNECT www.example.com:80 HTTP/1.1\r\nHost: www.example.com\r\n\r\n")


ESCAPED = re.compile(rb"\\(?:([rnt0])|x([0-9A-Fa-f]{2}))")


def escaped_byte(match):
    letter, digits = match.groups()
    return bytes.fromhex(digits.decode()) if digits else {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}[letter]


def gunicorn():
    """Another server's test requests: what they mean to us is not foretold."""
    folder = os.environ.get("TOKENRING_GUNICORN_CORPUS")
    for path in sorted(pathlib.Path(folder).glob("*/*.http")) if folder else []:
        text = ESCAPED.sub(escaped_byte, path.read_bytes().replace(b"\n", b""))
        name = f"gunicorn {path.parent.name}/{path.stem}"
        yield Case(name, text, None)
        if b"Host:" not in text:
            first, line_end, rest = text.partition(b"\r\n")
            yield Case(f"{name} with host", first + line_end + HOST + rest, None)


def corpus():
    plain = [*framings(), *heads(), *rfc_9112()]
    yield from plain
    yield from swept_fields()
    yield from swept_lines_and_chunks()
    yield from cut(plain)
    yield from gunicorn()
