"""Memory and CPU time of idle keep-alive clients.

Each proxy is started afresh, serves one request, and then gets 10,000
connections (5,000 over TLS) with one request each that stay open and silent. Kernel memory of
the sockets is not counted; it is the same for every proxy.

CPU time has two parts that say different things: what it costs once that
connections come to rest (ours takes their buffers back), and what they cost
for as long as they rest. Where the proxy counts the connections that rest, the
first part ends when all do; any other proxy is given a fixed time.
"""

import time
import urllib.request

from bench import load, proxies
from bench.plain import check_answer, check_quiet
from bench.process import Failure

CONNECTIONS = 10_000
TLS_CONNECTIONS = 5_000
# Longer than a proxy takes to give an idle connection's buffer back.
SETTLE_SECONDS = 8
REST_SECONDS = 8
# So that clients do not leave before the last look at the proxy.
SLACK_SECONDS = 2
GAUGE = "tokenring_connections_resting "
LOOK_SECONDS = 0.25


def run(options, place, connections, tls=None):
    backend = proxies.PlainBackend(place)
    try:
        pair = {side: _measure(options, place, backend, what, side, connections, tls)
                for side, what in proxies.commands(options, tls).items()}
    finally:
        backend.stop()
    print(f"  {'':<32}{'ours':>14}{'theirs':>14}")
    for name in pair["ours"]:
        form = ",.2f" if "cpu" in name or "seconds" in name else ",.0f"
        print(f"  {name:<32}{pair['ours'][name]:>14{form}}{pair['theirs'][name]:>14{form}}",
              flush=True)
    return {"pairs": [pair]}


def _measure(options, place, backend, what, role, connections, tls):
    with proxies.start_proxy(place, what, role, backend.address, False, tls) as proxy:
        check_answer(proxy)
        empty = proxy.resident_bytes()
        seconds = SETTLE_SECONDS + REST_SECONDS + SLACK_SECONDS
        with load.held_idle(options.openloop, proxy, connections, seconds):
            opened = proxy.resident_bytes()
            to_rest, settled_in = _measured(proxy, lambda proxy: _settle(proxy, connections))
            at_rest, rested_for = _measured(proxy, lambda _: load.wait(REST_SECONDS))
            held = proxy.resident_bytes()
        check_quiet(proxy)
    return {"resident_empty": empty, "resident_opened": opened, "resident_held": held,
            "bytes_per_connection": (held - empty) / connections,
            "settle_seconds": settled_in,
            "settle_cpu_ms": to_rest * 1e3,
            "rest_cpu_ms_per_second": at_rest * 1e3 / rested_for}


def _measured(proxy, act):
    """CPU time and wall time of the proxy while `act` is done."""
    cpu, started = proxy.run_seconds(), time.monotonic()
    act(proxy)
    return proxy.run_seconds() - cpu, time.monotonic() - started


def _settle(proxy, connections):
    """Until all connections rest, as far as the proxy can tell."""
    if proxy.admin is None:
        load.wait(SETTLE_SECONDS)
        return
    deadline = time.monotonic() + SETTLE_SECONDS
    while (resting := _resting(proxy)) < connections:
        if time.monotonic() > deadline:
            raise Failure(f"only {resting} of {connections} connections rest")
        load.wait(LOOK_SECONDS)


def _resting(proxy):
    with urllib.request.urlopen(f"http://{proxy.admin}/metrics", timeout=5) as page:
        lines = page.read().decode().splitlines()
    return next(int(line.removeprefix(GAUGE)) for line in lines if line.startswith(GAUGE))
