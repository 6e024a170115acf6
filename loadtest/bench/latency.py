"""Added latency: open loop at a rate that both proxies can bear.

Rounds go direct, ours, theirs, floor; what a proxy adds is its percentile less the
direct one of the same round. Arrivals are Poisson with one seed per round,
so that all of them get the very same send times.
"""

from bench import figures, load, proxies
from bench.plain import check_quiet

CONNECTIONS = 64
SHARE_OF_SATURATION = 0.5
PERCENTILES = ["p50", "p90", "p99", "p99.9"]
FIGURES = [(f"added_{name}_us", "{:.1f}") for name in PERCENTILES] + [
    (f"{name}_us", "{:.1f}") for name in PERCENTILES] + [("cpu_us_per_request", "{:.2f}")]


def run(options, place):
    backend = proxies.PlainBackend(place)
    try:
        with proxies.start_sides(place, options, backend.address, False) as sides:
            rate = options.rate or _bearable_rate(options, sides["ours"], sides["theirs"])
            print(f"  rate: {rate:.0f} requests/s", flush=True)
            rounds = [_round(options, number, rate, backend, sides)
                      for number in range(1, options.pairs + 1)]
            for proxy in sides.values():
                check_quiet(proxy)
    finally:
        backend.stop()
    return {"rate": rate, "pairs": rounds, "summary": figures.print_summary(rounds, FIGURES)}


def _bearable_rate(options, *proxies_):
    """Half of what the slower one does when it is asked as fast as it can."""
    slowest = min(said["requests"] / said["duration_us"] * 1e6
                  for said in (load.wrk(proxy, CONNECTIONS, options.warm_up)
                               for proxy in proxies_))
    return round(slowest * SHARE_OF_SATURATION, -2)


def _round(options, number, rate, backend, sides):
    direct = _measure(options, backend.process, number, rate)
    pair = {"direct": direct}
    for side, proxy in sides.items():
        pair[side] = _measure(options, proxy, number, rate)
        for name in PERCENTILES:
            pair[side][f"added_{name}_us"] = pair[side][f"{name}_us"] - direct[f"{name}_us"]
    words = [f"{name} direct {direct[f'{name}_us']:.0f}, added "
             + ", ".join(f"{side} {pair[side][f'added_{name}_us']:.0f}" for side in sides)
             for name in ("p50", "p99")]
    print(f"  round {number}: {'; '.join(words)} us", flush=True)
    return pair


def _measure(options, server, seed, rate):
    cpu = server.cpu_seconds()  # of the warm-up too, as the requests counted are
    said = load.openloop(options.openloop, server, options.seconds + options.warm_up,
                         "--rate", str(rate), "--arrivals", "poisson", "--seed", str(seed),
                         "--connections", str(CONNECTIONS), "--duration", str(options.seconds),
                         "--warm-up", str(options.warm_up))
    cpu = server.cpu_seconds() - cpu
    measured = {f"{name}_us": said["latency_us"][name] for name in PERCENTILES}
    return dict(measured, cpu_us_per_request=cpu * 1e6 / said["completed"], generator=said)
