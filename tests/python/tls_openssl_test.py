"""What `openssl s_client` and curl find at our listener."""

import contextlib
import os
import re
import shutil
import subprocess
import threading

import pytest

from servers import script, wait_until

GET = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n"
VERSIONS = {"1.2": "-tls1_2", "1.3": "-tls1_3"}


class Session:
    """`openssl s_client`, to which bytes are typed."""

    def __init__(self, port, authority, *options):
        self._process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
             "-CAfile", authority.file, "-verify_return_error", "-alpn", "http/1.1",
             *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
        )  # fmt: skip
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while data := os.read(self._process.stdout.fileno(), 1 << 16):
            self.said += data.decode(errors="replace")

    def types(self, text):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(text.encode())

    def says(self, pattern, times=1):
        """Waits until it has said this so many times."""
        try:
            wait_until(lambda: len(re.findall(pattern, self.said)) >= times, pattern)
        except AssertionError:
            raise AssertionError(f"{pattern!r} is not {times} times in: {self.said}") from None

    def is_served(self, times=1):
        self.types(GET)
        self.says("HTTP/1.1 200 ", times)

    def ends(self):
        wait_until(lambda: self._process.poll() is not None, f"s_client ends: {self.said}")
        self._reader.join()

    def quits(self):
        """After that it has said all that it held back."""
        self.types("Q\n")
        self.ends()

    def close(self):
        self._process.kill()
        self._process.wait()


@pytest.fixture
def session(authority):
    """Makes sessions, which end with the row."""
    with contextlib.ExitStack() as all_of_them:

        def make(port, *options):
            made = Session(port, authority, *options)
            all_of_them.callback(made.close)
            return made

        yield make


@pytest.mark.parametrize("version", VERSIONS)
def test_a_handshake_is_what_was_asked_for(session, tls_proxy, version):
    s_client = session(tls_proxy.port, VERSIONS[version])
    s_client.is_served()
    assert re.search(rf"New, TLSv{version}, Cipher is (TLS_AES|ECDHE)", s_client.said)
    assert "Verify return code: 0 (ok)" in s_client.said
    assert "ALPN protocol: http/1.1" in s_client.said
    assert "Compression: NONE" in s_client.said
    if version == "1.2":
        assert "Secure Renegotiation IS supported" in s_client.said
        assert "Extended master secret: yes" in s_client.said


CIPHERS = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
WEAK = ["ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA384"]


@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_cipher_of_tls_1_2_is_taken(session, tls_proxy, cipher):
    s_client = session(tls_proxy.port, "-tls1_2", "-cipher", cipher)
    s_client.is_served()
    assert f"Cipher is {cipher}" in s_client.said


@pytest.mark.parametrize("cipher", WEAK)
def test_a_cipher_without_both_secrecies_is_refused(session, tls_proxy, cipher):
    s_client = session(tls_proxy.port, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    s_client.says("alert handshake failure")
    s_client.ends()


@pytest.mark.parametrize("group", ["X25519", "P-256", "P-384"])
def test_a_group_is_taken(session, tls_proxy, group):
    s_client = session(tls_proxy.port, "-tls1_3", "-groups", group)
    s_client.is_served()
    names = {"X25519": "X25519", "P-256": "ECDH, prime256v1", "P-384": "ECDH, secp384r1"}
    assert f"Server Temp Key: {names[group]}" in s_client.said


def test_groups_of_no_use_are_refused(session, tls_proxy):
    s_client = session(tls_proxy.port, "-tls1_3", "-groups", "ffdhe2048")
    s_client.says("alert handshake failure")
    s_client.ends()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed_from_a_file(session, tls_proxy, version, tmp_path):
    first = session(tls_proxy.port, VERSIONS[version], "-sess_out", tmp_path / "session")
    first.is_served()
    wait_until((tmp_path / "session").exists, "the session is kept")
    again = session(tls_proxy.port, VERSIONS[version], "-sess_in", tmp_path / "session")
    again.is_served()
    assert f"Reused, TLSv{version}" in again.said


def test_who_wants_no_ticket_gets_a_session_without(session, tls_proxy):
    s_client = session(tls_proxy.port, "-tls1_2", "-no_ticket")
    s_client.is_served()
    assert "TLS session ticket:" not in s_client.said
    # Nothing is kept here for who keeps nothing there.
    assert re.search(r"Session-ID: *\n", s_client.said)


@pytest.mark.parametrize("key", ["k", "K"], ids=["told", "asked_for_in_return"])
def test_keys_are_updated(session, tls_proxy, key):
    s_client = session(tls_proxy.port, "-tls1_3")
    s_client.is_served(1)
    for times in (2, 3, 4):
        s_client.types(f"{key}\n")
        s_client.says("KEYUPDATE", times - 1)
        s_client.is_served(times)


def test_a_renegotiation_is_refused(session, tls_proxy):
    s_client = session(tls_proxy.port, "-tls1_2")
    s_client.is_served()
    s_client.types("R\n")
    s_client.says("RENEGOTIATING")
    s_client.says("no renegotiation")
    s_client.ends()


def test_early_data_is_not_taken(session, tls_proxy, tmp_path):
    kept, early = tmp_path / "session", tmp_path / "early"
    early.write_text(GET)
    first = session(tls_proxy.port, "-tls1_3", "-sess_out", kept)
    first.is_served()
    first.quits()
    assert "Max Early Data: 0" in first.said
    wait_until(kept.exists, "the session is kept")
    again = session(tls_proxy.port, "-tls1_3", "-sess_in", kept, "-early_data", early)
    again.is_served()
    again.quits()
    assert "Reused, TLSv1.3" in again.said
    assert "Early data was accepted" not in again.said


class TestCurl:
    @pytest.fixture
    def curl(self, authority, tls_proxy):
        def run(path, *options):
            path = f"{tls_proxy.url}{path}"
            done = subprocess.run(
                ["curl", "--silent", "--show-error", "--max-time", "20", "--cacert", authority.file,
                 "--noproxy", "*", *options, path],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            return done.stdout

        return run

    @pytest.mark.parametrize("options", [["--tls-max", "1.2"], ["--tlsv1.3"], ["--http2"], ["--http1.0", "--no-alpn"]])
    def test_is_served(self, curl, options):
        said = curl("/health", *options, "--write-out", "%{http_code} %{http_version}", "--output", "/dev/null")
        assert said == "200 1.1"

    def test_streams(self, curl):
        headers = [word for name, value in script().items() for word in ("--header", f"{name}: {value}")]
        said = curl(
            "/v1/chat/completions", "--no-buffer", *headers,
            "--json", '{"model":"mock","stream":true,"messages":[]}',
        )  # fmt: skip
        assert said.count("data: ") >= 12
        assert said.endswith("data: [DONE]\n\n")

    def test_uploads_five_megabytes(self, curl, tmp_path):
        body = tmp_path / "body"
        body.write_bytes(os.urandom(5_000_000))
        curl(
            "/v1/x", "--data-binary", f"@{body}", "--header", "x-mock-echo: 1",
            "--header", "expect:", "--output", tmp_path / "back",
        )  # fmt: skip
        assert (tmp_path / "back").read_bytes() == body.read_bytes()

    def test_asks_twice_on_one_connection(self, curl, tls_proxy):
        counts = curl("/health", f"{tls_proxy.url}/health", "--write-out", "%{num_connects}", "--output", "/dev/null")
        assert counts.startswith("1")


def test_openssl_and_curl_are_there():
    assert shutil.which("openssl") and shutil.which("curl"), "scripts/setup installs them"
