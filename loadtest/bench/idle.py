"""Memory of idle keep-alive clients: resident growth for each connection.

Each proxy is started afresh, serves one request, and then gets 10,000
connections with one request each that stay open and silent. Kernel memory of
the sockets is not counted; it is the same for every proxy.
"""

from bench import load, proxies
from bench.plain import check_answer, check_quiet

CONNECTIONS = 10_000
# Longer than a proxy takes to give an idle connection's buffer back.
SETTLE_SECONDS = 8


def run(options, place):
    backend = proxies.PlainBackend(place)
    try:
        pair = {"ours": _measure(options, place, backend, options.ours, "ours"),
                "theirs": _measure(options, place, backend, options.theirs, "theirs")}
    finally:
        backend.stop()
    print(f"  {'':<24}{'ours':>14}{'theirs':>14}")
    for name in pair["ours"]:
        print(f"  {name:<24}{pair['ours'][name]:>14,.0f}{pair['theirs'][name]:>14,.0f}", flush=True)
    return {"pairs": [pair]}


def _measure(options, place, backend, what, role):
    with proxies.start_proxy(place, what, role, backend.address, False) as proxy:
        check_answer(proxy)
        empty = proxy.resident_bytes()
        with load.held_idle(options.openloop, proxy.address, CONNECTIONS, SETTLE_SECONDS):
            opened = proxy.resident_bytes()
            cpu = proxy.cpu_seconds()
            load.wait(SETTLE_SECONDS - 1)
            held = proxy.resident_bytes()
            cpu = proxy.cpu_seconds() - cpu
        check_quiet(proxy)
    return {"resident_empty": empty, "resident_opened": opened, "resident_held": held,
            "bytes_per_connection": (held - empty) / CONNECTIONS,
            "idle_cpu_ms_per_second": cpu * 1e3 / (SETTLE_SECONDS - 1)}
