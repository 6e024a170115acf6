"""Generators: run wrk or openloop on the load core, and read what they say."""

import contextlib
import http.client
import json
import os
import subprocess
import time

from bench.process import Failure, prepare_child
from bench import proxies
from bench.proxies import HERE, LOAD_CORE, program

GENERATOR_SECONDS_SLACK = 60


def _run(command, seconds, **environment):
    done = subprocess.run(command, capture_output=True, text=True,
                          timeout=seconds + GENERATOR_SECONDS_SLACK,
                          env=dict(os.environ, **environment),
                          preexec_fn=prepare_child(LOAD_CORE))
    if done.returncode:
        raise Failure(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def wrk(server, connections, seconds):
    """One closed-loop run. Fails when any request went wrong."""
    output = _run(
        [program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "chat.lua"),
         _url(server)],
        seconds, CHAT_BODY=str(HERE / "chat.json"),
        **(server.tls.environment() if server.tls else {}))
    line = next((line for line in output.splitlines() if line.startswith("wrk-json ")), None)
    if line is None:
        raise Failure(f"wrk said nothing of use:\n{output}")
    said = json.loads(line.removeprefix("wrk-json "))
    if any(said["errors"].values()) or "Non-2xx" in output:
        raise Failure(f"requests went wrong: {said['errors']}\n{output}")
    if not said["requests"]:
        raise Failure(f"no request was answered in {seconds} s")
    return said


def _url(server):
    scheme = "https" if server.tls else "http"
    return f"{scheme}://{server.address}/v1/chat/completions"


def _openloop_command(binary, server, *options):
    if server.tls and "--danger-no-verify" not in options:
        options += ("--ca", server.tls.authority)
    return [binary or default_openloop(), "--url", _url(server),
            "--core", str(LOAD_CORE), "--json", "-", *options]


def openloop(binary, server, seconds, *options):
    """One run of our generator; its JSON. It fails by itself on any fault."""
    return json.loads(_run(_openloop_command(binary, server, *options), seconds))


@contextlib.contextmanager
def openloop_beside(binary, server, seconds, *options, niceness=0):
    """Runs the generator while the body runs. What it yields gives the JSON
    once the generator has ended, also when requests went wrong."""
    prepare = prepare_child(LOAD_CORE, niceness)
    child = subprocess.Popen(_openloop_command(binary, server, *options), text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=prepare)

    def result():
        said, complaint = child.communicate(timeout=seconds + GENERATOR_SECONDS_SLACK)
        if child.returncode not in (0, 1):
            raise Failure(f"openloop failed:\n{said}{complaint}")
        return json.loads(said)

    try:
        yield result
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def events_per_stream(binary, server):
    """How many data events one stream of a backend holds, asked without a proxy.
    It is what must come through one: the tokens, and what the dialect adds."""
    said = openloop(binary, server, 1, "--sse", "--rate", "1", "--duration", "0.5",
                    "--warm-up", "0")
    if said["completed"] != 1 or not said["events"]:
        raise Failure(f"{server.address} does not stream: {said}")
    return said["events"]


@contextlib.contextmanager
def held_idle(binary, server, connections, seconds):
    """Runs its body while so many clients are connected and silent."""
    command = _openloop_command(binary, server, "--idle", str(connections),
                                "--duration", str(seconds))
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=prepare_child(LOAD_CORE))
    try:
        line = child.stderr.readline()
        if not line.startswith("holding "):
            raise Failure(f"openloop cannot hold {connections} connections: {line}")
        yield
        said = json.loads(child.communicate(timeout=seconds + GENERATOR_SECONDS_SLACK)[0])
        if said["closed_by_server"]:
            raise Failure(f"{said['closed_by_server']} idle connections were closed")
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def wait(seconds):
    """Lets time pass with nothing to wait for: what is measured is the silence."""
    time.sleep(seconds)


def default_openloop():
    return str(proxies.example("openloop"))


def one_answer(server, body, **headers):
    """One request by Python's own client: body, and bytes on the wire or in records."""
    host, port = server.address.rsplit(":", 1)
    if server.tls:
        connection = http.client.HTTPSConnection(host, int(port), timeout=10,
                                                 context=server.tls.context())
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", body,
                           {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise Failure(f"{server.address} answered {answer.status}: {content[:200]!r}")
        head = len("HTTP/1.1 200 ") + len(answer.reason) + 2 + 2
        head += sum(len(name) + 2 + len(value) + 2 for name, value in answer.getheaders())
        return content, head + len(content)
    finally:
        connection.close()
