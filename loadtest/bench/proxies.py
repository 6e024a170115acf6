"""Backends and proxies: which command, which configuration, which core.

Proxies run on the first core we may use, backends and generators on the last,
so that the cost of the one never hides in the other.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.request

from bench.process import Failure, Process, free_address, open_files_limit

_CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, LOAD_CORE = _CORES[0], _CORES[-1]
HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent
DEBIAN_PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk"}

# A complete chat answer of exactly ANSWER_BYTES.
ANSWER_BYTES = 512
_ANSWER = ('{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"mock",'
           '"choices":[{"index":0,"message":{"role":"assistant","content":"%s"},'
           '"logprobs":null,"finish_reason":"stop"}],'
           '"usage":{"prompt_tokens":210,"completion_tokens":48,"total_tokens":258}}')
ANSWER = _ANSWER % ("Look at the disk, the plan and the backup. " * 12)[
    : ANSWER_BYTES - len(_ANSWER % "")]

EVENT = ('{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock",'
         '"choices":[{"index":0,"delta":{"content":"token "},"finish_reason":null}]}')


def program(name):
    """The path of a peer's program, installed from Debian when it is missing."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path:
        return path
    package = DEBIAN_PACKAGES[name]
    print(f"installing {package}", flush=True)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    installed = subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", package],
                               env=environment, stdout=subprocess.DEVNULL)
    path = shutil.which(name, path="/usr/bin:/usr/sbin")
    if installed.returncode or not path:
        raise Failure(f"{name} is missing: apt-get install {package}")
    # The package starts a service; the runs here start their own.
    subprocess.run(["service", name, "stop"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def binary():
    """Our own program, as fast as it has been built."""
    for profile in ("release", "debug"):
        path = ROOT / "target" / profile / "tokenring"
        if path.exists():
            return path
    raise Failure("tokenring is not built: cargo build --release")


def example(name):
    """A program of ours that is built as an example."""
    for profile in ("release", "debug"):
        path = ROOT / "target" / profile / "examples" / name
        if path.exists():
            return path
    raise Failure(f"{name} is not built: cargo build --release --example {name}")


class Place:
    """The run's directory: filled-in configurations and logs. Gone afterwards."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="compare-")
        self.path = pathlib.Path(self._directory.name)
        self.path.chmod(0o755)  # nginx workers change their user
        self._count = 0

    def fresh(self, name):
        self._count += 1
        directory = self.path / f"{self._count}-{name}"
        directory.mkdir()
        return directory

    def fill(self, template, directory, **words):
        text = (HERE / "peers" / template).read_text()
        for word, value in dict(words, DIR=str(directory), FILES=str(open_files_limit())).items():
            text = text.replace(f"@{word}@", value)
        path = directory / template
        path.write_text(text)
        return str(path)


def _nginx(place, name, template, core, address, tls=None, **words):
    """`tls` is for a server of TLS."""
    directory = place.fresh(name)
    if tls:
        snippet = place.fill("tls-clients.conf", directory, CERTIFICATE=tls.certificate, KEY=tls.key)
        words.update(SSL=" ssl", CLIENTS_TLS=f"include {snippet};")
    else:
        words.update(SSL="", CLIENTS_TLS="")
    configuration = place.fill(template, directory, LISTEN=address, **words)
    command = [program("nginx"), "-c", configuration, "-e", str(directory / "error.log")]
    process = Process(name, command, core, address, directory / "output.log")
    process.error_log = directory / "error.log"
    process.tls = tls
    return process


class PlainBackend:
    """nginx answering from memory; it counts what it served."""

    def __init__(self, place, tls=None):
        self.status = free_address()
        self.process = _nginx(place, "backend", "backend.conf", LOAD_CORE, free_address(), tls,
                              STATUS=self.status, ANSWER=ANSWER)
        self.address = self.process.address

    def requests_served(self):
        with urllib.request.urlopen(f"http://{self.status}/", timeout=5) as page:
            lines = page.read().decode().splitlines()
        return int(lines[2].split()[2])

    def stop(self):
        self.process.stop()


class StreamBackend:
    """A model that streams: `tokenring mock` by default, or nginx."""

    def __init__(self, place, what, gap_ms, tokens):
        address = free_address()
        if what == "nginx":
            self.process = _nginx(place, "backend", "stream-backend.conf", LOAD_CORE, address,
                                  EVENTS=_echo_events(gap_ms, tokens))
        else:
            command = what.format(listen=address, core=LOAD_CORE, gap=f"{gap_ms}ms", tokens=tokens)
            self.process = Process("backend", command, LOAD_CORE, address,
                                   place.fresh("backend") / "output.log")
        self.address = address

    def stop(self):
        self.process.stop()


def _echo_events(gap_ms, tokens):
    """The echo module's words for so many events, each flushed after a pause."""
    event = ("echo_sleep %.3f; echo 'data: %s'; echo; echo_flush;" % (gap_ms / 1000, EVENT))
    return "\n".join([event] * tokens + ["echo 'data: [DONE]'; echo;"])


def start_proxy(place, what, role, backend, streaming, tls=None):
    """`what` is nginx, haproxy, or a command with {listen} and {backend} in it;
    {admin}, where tokenring serves its metrics, may be there too, and with
    `tls` what it needs of {certificate}, {key} and {authority}."""
    address = free_address()
    if what == "nginx":
        # Buffered answers cost nginx less when they are whole in one read;
        # a stream must be passed on at once.
        process = _nginx(place, "nginx", "nginx.conf", PROXY_CORE, address, tls,
                         BACKEND=backend, BUFFERING="off" if streaming else "on",
                         **_nginx_to_backend(place, tls))
    elif what == "haproxy":
        if tls:
            raise Failure("HAProxy is not set up for TLS here")
        directory = place.fresh("haproxy")
        configuration = place.fill("haproxy.cfg", directory, LISTEN=address, BACKEND=backend)
        process = Process("haproxy", [program("haproxy"), "-f", configuration, "-db"],
                          PROXY_CORE, address, directory / "output.log")
    else:
        if "{listen}" not in what or not ("{backend}" in what or "--config" in what):
            raise Failure("a proxy's command needs {listen} and {backend} in it")
        admin = free_address() if "{admin}" in what else None
        files = {} if tls is None else {
            "certificate": tls.certificate, "key": tls.key, "authority": tls.authority}
        command = what.format(listen=address, backend=backend, core=PROXY_CORE, admin=admin, **files)
        process = Process(role, command, PROXY_CORE, address, place.fresh(role) / "output.log")
        process.admin = admin
        process.tls = tls
    try:
        process.restrict(PROXY_CORE)
    except Failure:
        process.stop()
        raise
    return process


def _nginx_to_backend(place, tls):
    if not (tls and tls.to_backend):
        return {"SCHEME": "http", "BACKEND_TLS": ""}
    snippet = place.fill("tls-to-backend.conf", place.fresh("nginx"), AUTHORITY=tls.authority)
    return {"SCHEME": "https", "BACKEND_TLS": f"include {snippet};"}


def commands(options, tls=None, plan=None):
    """What the two sides are: words for `start_proxy`."""
    return {"ours": options.ours or tokenring(ROOT / "target/release/tokenring", tls, plan),
            "theirs": tokenring(options.old, tls, plan) if options.old else options.theirs}


def tokenring(binary, tls, plan=None):
    """The command line of a build of ours, for clients in clear or over TLS;
    `plan` is a configuration file that names the backends."""
    words = [str(binary), "serve --admin {admin} --cores {core} --connections 16000"]
    if plan:
        words.append(f"--listen {{listen}} --config {plan}")
    elif tls is None:
        words.append("--listen {listen} --backend http://{backend}")
    else:
        words.append("--tls-listen {listen} --tls-cert {certificate} --tls-key {key}")
        words.append("--backend https://{backend} --backend-ca {authority}" if tls.to_backend
                     else "--backend http://{backend}")
    return " ".join(words)


@contextlib.contextmanager
def start_sides(place, options, backend, streaming, tls=None, plan=None):
    """What takes turns in a run: ours, theirs, and the floor of this machine
    where it can be measured."""
    sides = commands(options, tls, plan)
    if tls:
        pass  # the floor knows none
    elif options.floor == "built":
        sides["floor"] = f"{example('floor')} --listen {{listen}} --to {{backend}}"
    elif options.floor:
        sides["floor"] = options.floor
    with contextlib.ExitStack() as stack:
        yield {side: stack.enter_context(start_proxy(place, what, side, backend, streaming, tls))
               for side, what in sides.items()}
