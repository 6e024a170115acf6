"""Backends over https that others wrote, those that nobody should trust, and
those that end in the middle."""

import json
import re
import ssl

import httpx
import pytest

from servers import Server
from tls_peers import Nginx, TlsBackend, openssl_server, python_server, server_context

OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"
CHAT = {"model": "mock", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}


def serving(url, *flags):
    return Server("serve", "--backend", url, *flags)


def post(server, path=OPENAI, **fields):
    return httpx.post(f"{server.url}{path}", json=CHAT | fields, timeout=20, trust_env=False)


def is_refused(server, code):
    """In the dialect of who asked, and without a word of the reason."""
    answer = post(server)
    assert answer.status_code == 502, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == code
    other = post(server, ANTHROPIC)
    assert other.status_code == 502
    assert other.json()["type"] == "error"
    assert other.json()["error"].keys() >= {"type", "message"}
    streamed = post(server, stream=True)
    assert (streamed.status_code, streamed.json()["error"]["code"]) == (502, code)
    return error["message"]


@pytest.fixture
def backend(pair):
    backend = TlsBackend(server_context(pair))
    yield backend
    backend.close()


def test_nginx_resumes_our_sessions(mock, pair, authority):
    nginx = Nginx(mock, pair)
    # A connection for each request.
    server = serving(nginx.url, "--backend-ca", authority.file, "--pool-idle-per-backend", "0", "--cores", "0")
    seen = [post(server).headers["x-tls"] for _ in range(4)]
    assert [line[:9] for line in seen] == ["TLSv1.3 .", *["TLSv1.3 r"] * 3]
    server.stop()
    nginx.stop()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_nginx_asks_for_our_certificate(mock, pair, authority, version):
    own = authority.pair("tokenring", "tokenring.test", common_name="tokenring")
    more = f"ssl_client_certificate {authority.file}; ssl_verify_client on;"
    nginx = Nginx(mock, pair, more, version)
    flags = ["--backend-ca", authority.file]
    server = serving(nginx.url, *flags, "--backend-cert", own.certificate, "--backend-key", own.key)
    answer = post(server)
    assert (answer.status_code, version in answer.headers["x-tls"]) == (200, True)
    assert "tokenring" in answer.headers["x-tls"]
    server.stop()
    # Without one it is nginx that answers.
    server = serving(nginx.url, *flags)
    assert post(server).status_code == 400
    server.stop()
    nginx.stop()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_serves(pair, authority, version):
    with openssl_server(pair, version) as url:
        server = serving(url, "--backend-ca", authority.file)
        answer = httpx.get(f"{server.url}/v1/models", timeout=20, trust_env=False)
        assert answer.status_code == 200
        assert version.removeprefix("-tls").replace("_", ".") in re.search(r"Protocol *: TLSv(1\.\d)", answer.text)[1]
        server.stop()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_that_requires_a_certificate_gets_it(pair, authority, version):
    own = authority.pair("for_openssl", "tokenring.test")
    asking = ["-Verify", "1", "-verify_return_error", "-CAfile", authority.file]
    with openssl_server(pair, version, *asking) as url:
        flags = ["--backend-ca", authority.file]
        server = serving(url, *flags, "--backend-cert", own.certificate, "--backend-key", own.key)
        answer = httpx.get(f"{server.url}/v1/models", timeout=20, trust_env=False)
        assert answer.status_code == 200
        server.stop()
    # One without is told by an alert, which in TLS 1.3 comes behind our own
    # side of the handshake.
    with openssl_server(pair, version, *asking) as url:
        server = serving(url, *flags)
        answer = httpx.get(f"{server.url}/v1/models", timeout=20, trust_env=False)
        assert answer.status_code == 502
        server.stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_python_serves(pair, authority, version):
    context = server_context(pair)
    context.minimum_version = context.maximum_version = version
    with python_server(context) as url:
        server = serving(url, "--backend-ca", authority.file)
        for _ in range(3):
            assert post(server).json() == CHAT
        server.stop()


def of_another_authority(authority):
    return authority.another("of_a_backend").pair("other", "127.0.0.1")


UNTRUSTED = {
    "wrong_name": (lambda authority: authority.pair("wrong_name", "other.test"), "not for 127.0.0.1"),
    "expired": (lambda authority: authority.expired("expired", "127.0.0.1"), "expired"),
    "self_signed": (lambda authority: authority.self_signed("self", "IP:127.0.0.1"), ""),
    "wrong_authority": (of_another_authority, "authority"),
}


@pytest.mark.parametrize("what", UNTRUSTED)
def test_a_certificate_that_does_not_verify_is_refused(authority, what):
    make, reason = UNTRUSTED[what]
    backend = TlsBackend(server_context(make(authority)))
    backend.answer = OK
    server = serving(backend.url, "--backend-ca", authority.file)
    message = is_refused(server, "tls_verification_failed")
    assert reason in server.says("does not verify")
    assert not re.search("(?i)expired|authority|other.test|not for", message)
    # No request, and nothing in plain.
    assert backend.requests == 0
    assert set(backend.first_bytes) == {b"\x16"}
    server.stop()
    backend.close()


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.mark.parametrize("what", UNTRUSTED)
def test_danger_takes_all_of_them_and_says_so(authority, tmp_path, what):
    make = UNTRUSTED[what][0]
    own = authority.another(f"danger_{what}")
    backend = TlsBackend(server_context(make(own)))
    backend.answer = OK
    server = serving(backend.url, "--danger-backend-no-verify")
    server.says("(?i)danger|not verified")
    assert post(server).text == "ok"
    server.stop()
    backend.close()


def test_a_name_is_asked_for_and_verified_instead(authority):
    backend = TlsBackend(server_context(authority.pair("named", "model.test")))
    backend.answer = OK
    server = serving(backend.url, "--backend-ca", authority.file, "--backend-tls-name", "model.test")
    assert post(server).text == "ok"
    assert backend.sni == ["model.test"]
    server.stop()
    server = serving(backend.url, "--backend-ca", authority.file, "--backend-tls-name", "wrong.test")
    is_refused(server, "tls_verification_failed")
    server.stop()
    backend.close()


def test_an_address_is_never_asked_for_as_a_name(backend, authority):
    """RFC 6066, 3."""
    backend.answer = OK
    server = serving(backend.url, "--backend-ca", authority.file)
    assert post(server).text == "ok"
    assert backend.sni == [None]
    server.stop()


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_a_backend_of_old_versions_is_refused(pair, authority, version):
    with openssl_server(pair, version, "-cipher", "ALL:@SECLEVEL=0") as url:
        server = serving(url, "--backend-ca", authority.file)
        is_refused(server, "tls_handshake_failed")
        server.stop()


def test_a_backend_in_plain_is_refused(mock, authority):
    def asked():
        return mock.stats()["requests"]

    # Asking counts as well.
    before = asked()
    by_asking = asked() - before
    server = serving(f"https://127.0.0.1:{mock.port}", "--backend-ca", authority.file)
    is_refused(server, "tls_handshake_failed")
    assert asked() == before + 2 * by_asking
    server.stop()


HALF = b'{"half":'
EVENT = 'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
EVENTS = "".join(EVENT % word for word in "abc").encode()
DONE = b"data: [DONE]\n\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Seen:
    """What a client got: status, body, and whether its framing was kept."""

    def __init__(self, backend, authority, answer, by, **fields):
        backend.answer, backend.ends_by = answer, by
        server = serving(backend.url, "--backend-ca", authority.file)
        with httpx.stream("POST", f"{server.url}{OPENAI}", json=CHAT | fields, timeout=20, trust_env=False) as answer:
            self.status, self.body, self.whole = answer.status_code, b"", True
            try:
                for data in answer.iter_bytes():
                    self.body += data
            except httpx.RemoteProtocolError:
                self.whole = False
        server.stop()

    def is_whole(self, body):
        assert (self.status, self.body, self.whole) == (200, body, True)

    def is_cut(self, body):
        assert (self.status, self.body, self.whole) == (200, body, False)

    def is_told_as_a_cut(self):
        """By an event that says so, and no mark of the end."""
        assert self.status == 200
        assert self.body.startswith(EVENTS)
        assert b"[DONE]" not in self.body
        last = self.body[len(EVENTS) :].decode().strip().removeprefix("data: ")
        assert json.loads(last)["error"]["message"]


@pytest.mark.parametrize("by", ["notify", "fin", "reset"])
def test_a_cut_body_of_known_length_is_a_cut(backend, authority, by):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
    Seen(backend, authority, head + HALF, by).is_cut(HALF)


@pytest.mark.parametrize("by", ["notify", "fin", "reset"])
def test_a_cut_chunked_body_is_a_cut(backend, authority, by):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    Seen(backend, authority, head + chunk(HALF), by).is_cut(HALF)


@pytest.mark.parametrize("by", ["notify", "fin", "reset"])
def test_a_cut_stream_of_known_length_is_a_cut(backend, authority, by):
    """There is no room for an event that says so."""
    answer = STREAM + b"content-length: 5000\r\n\r\n" + EVENTS
    Seen(backend, authority, answer, by, stream=True).is_cut(EVENTS)


@pytest.mark.parametrize("by", ["notify", "fin", "reset"])
def test_a_cut_chunked_stream_is_told_as_one(backend, authority, by):
    answer = STREAM + b"transfer-encoding: chunked\r\n\r\n" + chunk(EVENTS)
    Seen(backend, authority, answer, by, stream=True).is_told_as_a_cut()


def test_a_stream_until_close_is_whole_with_a_close_notify(backend, authority):
    answer = STREAM + b"connection: close\r\n\r\n" + EVENTS + DONE
    Seen(backend, authority, answer, "notify", stream=True).is_whole(EVENTS + DONE)


@pytest.mark.parametrize("by", ["fin", "reset"])
def test_a_stream_until_close_without_a_close_notify_is_a_cut(backend, authority, by):
    answer = STREAM + b"connection: close\r\n\r\n" + EVENTS
    Seen(backend, authority, answer, by, stream=True).is_told_as_a_cut()


UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n"


def test_a_body_until_close_is_whole_with_a_close_notify(backend, authority):
    Seen(backend, authority, UNTIL_CLOSE + HALF, "notify").is_whole(HALF)


@pytest.mark.parametrize("by", ["fin", "reset"])
def test_a_body_until_close_without_a_close_notify_is_a_cut(backend, authority, by):
    Seen(backend, authority, UNTIL_CLOSE + HALF, by).is_cut(HALF)


def test_an_answer_to_a_body_that_is_not_read_comes_whole(backend, authority):
    """OpenSSL ends a connection that is cut in mid-record, in both directions."""
    answer = bytes(range(256)) * 1000
    backend.answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer)
    backend.reads_body = False
    server = serving(backend.url, "--backend-ca", authority.file)
    got = httpx.post(f"{server.url}/v1/files", content=b"y" * (20 << 20), timeout=20, trust_env=False)
    assert (got.status_code, got.content) == (413, answer)
    server.stop()


@pytest.mark.parametrize("by", ["notify", "fin"])
def test_a_whole_body_is_whole_however_the_connection_ends(backend, authority, by):
    Seen(backend, authority, OK, by).is_whole(b"ok")
