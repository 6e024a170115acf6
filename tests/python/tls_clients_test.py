"""What Python's own TLS finds at our listener: versions, names, tickets,
client certificates, and what is not TLS at all."""

import contextlib
import signal
import socket
import ssl
import time

import pytest

from adversary_metrics import Metrics
from servers import Server, TlsServer, wait_until

REQUEST = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(params=VERSIONS)
def context(request, authority):
    """A client's, that speaks one version only."""
    return client_context(authority, VERSIONS[request.param])


def client_context(authority, version, alpn=("http/1.1",)):
    context = ssl.create_default_context(cafile=authority.file)
    context.minimum_version = context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@contextlib.contextmanager
def connected(context, port, name="localhost", session=None):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=name, session=session) as connection:
            yield connection


def is_served(connection):
    connection.sendall(REQUEST)
    # What comes first brings the tickets of TLS 1.3 along.
    assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def names_shown(context, port, name):
    """The names of the certificate that is shown to who asks for `name`."""
    context.check_hostname = False
    with connected(context, port, name) as connection:
        shown = connection.getpeercert()["subjectAltName"]
        is_served(connection)
    return [value for _, value in shown]


def test_a_version_is_what_was_asked_for(context, tls_proxy):
    with connected(context, tls_proxy.port) as connection:
        assert connection.version() == context.maximum_version.name.replace("_", ".")
        assert connection.selected_alpn_protocol() == "http/1.1"
        is_served(connection)


@pytest.mark.parametrize("alpn", [None, ("h2", "http/1.1")], ids=["none", "after_h2"])
def test_alpn_is_http_1_1_when_it_is_offered(tls_proxy, authority, alpn):
    for version in VERSIONS.values():
        with connected(client_context(authority, version, alpn), tls_proxy.port) as connection:
            assert connection.selected_alpn_protocol() == ("http/1.1" if alpn else None)
            is_served(connection)


def test_who_speaks_no_http_1_1_is_refused(tls_proxy, authority):
    for version in VERSIONS.values():
        with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
            with connected(client_context(authority, version, ("h2",)), tls_proxy.port):
                pass


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_older_versions_are_refused(tls_proxy, authority):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = client_context(authority, version)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError, match="(?i)alert.(protocol.version|handshake.failure)"):
            with connected(context, tls_proxy.port):
                pass


def test_a_minimum_of_1_3_refuses_1_2(mock, pair, authority):
    server = TlsServer("serve", "--backend", mock.url, "--tls-min-version", "1.3", *pair.flags)
    with connected(client_context(authority, VERSIONS["1.3"]), server.port) as connection:
        is_served(connection)
    with pytest.raises(ssl.SSLError, match="(?i)alert.protocol.version"):
        with connected(client_context(authority, VERSIONS["1.2"]), server.port):
            pass
    server.stop()


@pytest.fixture(scope="module")
def many_names(mock, authority):
    first = authority.pair("first", "first.test")
    wild = authority.pair("wild", "*.wild.test")
    exact = authority.pair("exact", "exact.wild.test", "other.test")
    server = TlsServer("serve", "--backend", mock.url, *first.flags, *wild.flags, *exact.flags)
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("first.test", ["first.test"]),
        ("other.test", ["exact.wild.test", "other.test"]),
        ("OTHER.test", ["exact.wild.test", "other.test"]),
        ("exact.wild.test", ["exact.wild.test", "other.test"]),
        ("any.wild.test", ["*.wild.test"]),
        # A wildcard is one label.
        ("a.b.wild.test", ["first.test"]),
        ("wild.test", ["first.test"]),
        ("unknown.test", ["first.test"]),
        (None, ["first.test"]),
    ],
)
def test_a_certificate_is_chosen_by_its_name(context, many_names, asked, shown):
    assert names_shown(context, many_names.port, asked) == shown


def tickets_are_good(context, server, session, times=12):
    """Each on a connection of its own, so on every shard sooner or later."""
    for _ in range(times):
        with connected(context, server.port, session=session) as connection:
            assert connection.session_reused
            is_served(connection)


def test_tickets_are_good_on_every_shard_and_over_swaps(context, mock, authority):
    shown = authority.pair("swapped", "localhost")
    other = authority.pair("other", "localhost")
    server = TlsServer("serve", "--backend", mock.url, "--tls-watch-every", "1h", *shown.flags)
    with connected(context, server.port) as connection:
        assert not connection.session_reused
        is_served(connection)
        session, before = connection.session, connection.getpeercert(binary_form=True)
    tickets_are_good(context, server, session)
    other.written_over(shown)
    server.signal(signal.SIGHUP)

    def after():
        with connected(context, server.port) as connection:
            return connection.getpeercert(binary_form=True)

    wait_until(lambda: after() != before, "the other certificate is shown")
    tickets_are_good(context, server, session)
    server.stop()


@pytest.fixture(scope="module")
def trusted(authority):
    return authority.another("of_clients")


@pytest.fixture(scope="module", params=["required", "optional"])
def asking(request, mock, pair, trusted):
    server = TlsServer(
        "serve", "--backend", mock.url, *pair.flags,
        "--tls-client-ca", trusted.file, "--tls-client-auth", request.param,
    )  # fmt: skip
    server.required = request.param == "required"
    yield server
    server.stop()


class TestClientCertificates:
    def is_refused(self, context, server, alert):
        # In TLS 1.3 a client learns it when it reads.
        with pytest.raises((ssl.SSLError, ConnectionResetError), match=alert):
            with connected(context, server.port) as connection:
                connection.sendall(REQUEST)
                assert connection.recv(1 << 16) == b""
                raise AssertionError("an end without an alert")

    def test_one_of_the_authority_is_taken(self, context, asking, trusted):
        trusted.pair("client", "client@example.test").load_into(context)
        with connected(context, asking.port) as connection:
            is_served(connection)
            session = connection.session
        tickets_are_good(context, asking, session, 3)

    def test_none_is_refused_where_one_is_required(self, context, asking):
        if asking.required:
            self.is_refused(context, asking, "(?i)certificate.required|handshake.failure")
        else:
            with connected(context, asking.port) as connection:
                is_served(connection)

    def test_one_of_another_authority_is_refused(self, context, asking, authority):
        authority.pair("stranger", "stranger@example.test").load_into(context)
        self.is_refused(context, asking, "(?i)unknown.ca")

    def test_one_that_has_expired_is_refused(self, context, asking, trusted):
        trusted.expired("old", "old@example.test").load_into(context)
        self.is_refused(context, asking, "(?i)certificate.expired")


def test_a_ticket_is_no_way_past_a_new_authority(context, mock, pair, authority, tmp_path):
    """Whom the old one vouched for is asked again."""
    old, new = authority.another(f"old_{tmp_path.name}"), authority.another(f"new_{tmp_path.name}")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(old.file.read_bytes())
    server = TlsServer(
        "serve", "--backend", mock.url, *pair.flags, "--tls-client-ca", bundle, "--tls-watch-every", "20ms"
    )
    old.pair("client", "client@example.test").load_into(context)
    with connected(context, server.port) as connection:
        is_served(connection)
        session = connection.session
    bundle.write_bytes(new.file.read_bytes())

    def is_refused():
        try:
            with connected(context, server.port, session=session) as connection:
                is_served(connection)
        except (ssl.SSLError, ConnectionResetError):
            return True
        return False

    wait_until(is_refused, "the old one's client is refused")
    server.stop()


def heard(port, *said):
    """All that comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        for bytes_said in said:
            plain.sendall(bytes_said)
        answer = b""
        while data := plain.recv(1 << 16):
            answer += data
        return answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        REQUEST,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}",
        b"DELETE / HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
    ],
    ids=["get", "post", "delete", "options"],
)
def test_plain_http_is_told_in_plain(tls_proxy, request_bytes):
    head, _, body = heard(tls_proxy.port, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head.lower()
    assert b"https://" in body


def test_tls_on_a_plain_port_is_named_in_the_log(mock, authority):
    server = Server("serve", "--backend", mock.url)
    with pytest.raises(ssl.SSLError):
        with connected(client_context(authority, VERSIONS["1.3"]), server.port):
            pass
    server.says("(?i)TLS")
    server.stop()


def test_slow_handshakes_are_ended_and_counted(mock, pair, tmp_path):
    server = TlsServer(
        "serve", "--cores", "0", "--backend", mock.url, "--tls-handshake-timeout", "300ms",
        "--admin", f"unix:{tmp_path}/admin", *pair.flags,
    )  # fmt: skip
    hello = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context = ssl.create_default_context()
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    hello = hello.read()
    for said in (b"", hello[:3], hello[:100]):
        began = time.monotonic()
        # Nothing, or an alert.
        assert len(heard(server.port, said)) <= 7
        assert 0.25 < time.monotonic() - began < 5
    # A byte now and then is no reason to wait for longer.
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
        with contextlib.suppress(ConnectionError):
            for byte in hello:
                plain.sendall(bytes([byte]))
                plain.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    if not plain.recv(16):
                        break
    assert time.monotonic() - began < 5
    metrics = Metrics(tmp_path / "admin")
    wait_until(lambda: metrics.read()["tokenring_handshakes_failed_total"] == 4, "all are counted")
    metrics.close()
    server.stop()
