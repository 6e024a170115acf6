"""Backends that speak TLS: nginx, OpenSSL's server, Python's, and one that
ends its connections however a row tells it."""

import atexit
import contextlib
import http.server
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from adversary_world import read_body, read_head, reset
from servers import STOP_SECONDS_MAX, wait_until

PROGRAMS = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_max_body_size 0; keepalive_requests 1000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream mock {{ server 127.0.0.1:{mock.port}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key};
    ssl_protocols {protocols};
    {more}
    location / {{
      proxy_pass http://mock; proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
      proxy_set_header Connection ""; proxy_set_header Host $http_host;
      add_header x-tls "$ssl_protocol $ssl_session_reused $ssl_client_s_dn $ssl_server_name" always;
    }}
  }}
}}
"""


class Nginx:
    """TLS before the mock; `x-tls` in its answers says what it saw of ours."""

    def __init__(self, mock, pair, more="", protocols="TLSv1.2 TLSv1.3"):
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="tokenring-"))
        path = shutil.which("nginx", path=PROGRAMS)
        assert path, "there is no nginx; scripts/setup installs it"
        # It inherits the listener, so nobody else can take the port.
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            self.port = listener.getsockname()[1]
            conf = self._folder / "nginx.conf"
            words = {"folder": self._folder, "mock": mock, "pair": pair, "port": self.port}
            conf.write_text(NGINX.format(**words, more=more, protocols=protocols))
            self._process = subprocess.Popen(
                [path, "-p", str(self._folder), "-c", str(conf)], stdin=subprocess.DEVNULL,
                pass_fds=[listener.fileno()], env=os.environ | {"NGINX": f"{listener.fileno()};"},
            )  # fmt: skip
        # A row that fails does not come to its `stop`.
        atexit.register(self._process.terminate)
        self.url = f"https://127.0.0.1:{self.port}"
        wait_until((self._folder / "nginx.pid").exists, "nginx runs")

    def stop(self):
        # Not killed: its worker would stay.
        self._process.terminate()
        self._process.wait(STOP_SECONDS_MAX)
        shutil.rmtree(self._folder)


@contextlib.contextmanager
def openssl_server(pair, *options):
    """OpenSSL's own, which answers a GET with a page about the connection."""
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", str(pair.certificate),
         "-cert_chain", str(pair.certificate), "-key", str(pair.key), *map(str, options)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"ACCEPT .*:(\d+)", line):
                break
        else:
            raise AssertionError(f"s_server did not start: {said}")
        # Read on, or a full pipe would stop it.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield f"https://127.0.0.1:{found[1]}"
    finally:
        process.kill()
        process.wait()


def server_context(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair.load_into(context)
    return context


@contextlib.contextmanager
def python_server(context):
    """The one of Python's standard library, which says what it was sent."""

    class Says(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Says)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class TlsBackend:
    """Answers each connection's first request with these bytes and ends it:
    by `notify`, a plain `fin`, or a `reset`. `reads_body` or not: then the
    answer comes before the body is read, in pieces that a peer has to wait for.

    It also keeps the first byte that it was sent on each connection.
    """

    def __init__(self, context):
        self.first_bytes = []
        self.requests = 0
        self.sni = []
        self.answer, self.ends_by = b"", "notify"
        self.reads_body = True
        self._context = context
        context.sni_callback = lambda _socket, name, _context: self.sni.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        # A close alone would leave `accept` waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain):
        plain.settimeout(10)
        try:
            self.first_bytes.append(plain.recv(1, socket.MSG_PEEK))
            with self._context.wrap_socket(plain, server_side=True) as connection:
                head = read_head(connection)
                if not self.reads_body:
                    for at in range(0, len(self.answer), 1000):
                        connection.sendall(self.answer[at : at + 1000])
                        # An end that comes in mid-record ends the answer too.
                        connection.recv(1)
                    # Closed with bytes unread, it would be reset, and what is on
                    # its way would be lost (RFC 9112, section 9.6).
                    while connection.recv(65536):
                        pass
                elif read_body(connection, head):
                    self.requests += 1
                    connection.sendall(self.answer)
                    self._end(connection)
        except OSError:
            pass  # The proxy has had enough of it, as the row may want.

    def _end(self, connection):
        if self.ends_by == "notify":
            connection.unwrap()
        elif self.ends_by == "fin":
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        else:
            time.sleep(0.02)  # What was sent is to arrive; a reset may overtake it.
            reset(connection)
