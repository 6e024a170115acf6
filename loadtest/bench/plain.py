"""Plain scenarios: whole JSON answers over keep-alive connections, by wrk.

The primary figure is the proxy's CPU time for each completed request. It
holds when the generator is the bottleneck and when the machine is noisy.
"""

from bench import agreements, figures, load, proxies, routes
from bench.process import Failure, Meter

FIGURES = [("cpu_us_per_request", "{:.2f}"), ("requests_per_second", "{:.0f}"),
           ("latency_p50_us", "{:.0f}"), ("latency_p99_us", "{:.0f}"),
           ("proxy_core_share", "{:.2f}"), ("others_core_share", "{:.2f}")]
# Requests under way when wrk stops were served by the backend, not counted.
BYTES_OFF_MAX = 0.005


def run(options, place, connections, tls=None, routed=False):
    backend = proxies.PlainBackend(place, tls if tls and tls.to_backend else None)
    try:
        if options.direct:
            print_direct(backend, connections, options.seconds)
        plan = routes.write(place, backend.address) if routed else None
        return _pairs(options, place, backend, connections, tls, plan)
    finally:
        backend.stop()


def print_direct(backend, connections, seconds):
    """Without a proxy: the most that generator and backend can do on their core."""
    served = backend.requests_served()
    said = load.wrk(backend.process, connections, seconds)
    check_served(backend.process, said, backend.requests_served() - served, connections)
    rate = said["requests"] / said["duration_us"] * 1e6
    print(f"  direct: {rate:.0f} requests/s, p50 {said['latency_us']['p50']} us", flush=True)


def _pairs(options, place, backend, connections, tls, plan):
    with proxies.start_sides(place, options, backend.address, False, tls, plan) as sides:
        if tls:
            agreements.check(sides)
        for proxy in sides.values():
            check_answer(proxy)
        pairs = []
        for number in range(1, options.pairs + 1):
            pair = {side: measure(options, proxy, backend, connections)
                    for side, proxy in sides.items()}
            pairs.append(pair)
            figures.print_pair(number, pair, FIGURES[0][0])
        for proxy in sides.values():
            check_quiet(proxy)
    return {"pairs": pairs, "summary": figures.print_summary(pairs, FIGURES)}


def check_answer(proxy):
    """The client gets exactly the backend's bytes; what they weigh on the wire."""
    content, proxy.answer_bytes = load.one_answer(proxy, (load.HERE / "chat.json").read_bytes())
    if content != proxies.ANSWER.encode():
        raise Failure(f"{proxy.name} changed the answer: {content[:200]!r}")


def measure(options, proxy, backend, connections):
    load.wrk(proxy, connections, options.warm_up)
    served = backend.requests_served()
    with Meter(proxy, proxies.PROXY_CORE) as meter:
        said = load.wrk(proxy, connections, options.seconds)
    served = backend.requests_served() - served
    _check_counts(proxy, said, served, connections)
    seconds = said["duration_us"] / 1e6
    return {"cpu_us_per_request": meter.cpu_seconds * 1e6 / said["requests"],
            "requests_per_second": said["requests"] / seconds,
            "latency_p50_us": said["latency_us"]["p50"],
            "latency_p99_us": said["latency_us"]["p99"],
            "proxy_core_share": meter.cpu_seconds / meter.seconds,
            "others_core_share": meter.others_share,
            "requests": said["requests"], "bytes": said["bytes"],
            "backend_requests": served, "cpu_seconds": meter.cpu_seconds}


def _check_counts(proxy, said, served, connections):
    """A number that looks too good is a bug: every request went to the backend
    once, and every answer came back whole."""
    check_served(proxy, said, served, connections)
    expected = said["requests"] * proxy.answer_bytes
    if abs(said["bytes"] - expected) > expected * BYTES_OFF_MAX + connections * proxy.answer_bytes:
        raise Failure(f"{proxy.name}: {said['bytes']} bytes for {said['requests']} answers "
                      f"of {proxy.answer_bytes} bytes")


def check_served(proxy, said, served, connections):
    """`served` also holds the request that asked the backend for its count, and
    what was under way when wrk stopped, both now and before (the warm-up)."""
    if not 0 <= served - 1 - said["requests"] <= 2 * connections:
        raise Failure(f"{proxy.name}: wrk counted {said['requests']} answers, "
                      f"the backend {served - 1} requests")


def check_quiet(proxy):
    """nginx writes what went wrong only into its log."""
    log = getattr(proxy, "error_log", None)
    if log is not None and log.exists() and log.stat().st_size:
        raise Failure(f"{proxy.name} complained:\n{log.read_text()[:1000]}")
