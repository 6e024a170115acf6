"""Handshakes alone: clients connect, agree and leave, many at once.

The primary figure is the proxy's CPU time for each handshake. The rate is also
the generator's, which has about as much to do: `slower` says who set the pace.
The generator takes certificate and signature unseen, to be the faster one; the
tests and all other scenarios verify them.
"""

from bench import agreements, certificates, figures, load, proxies
from bench.plain import check_quiet
from bench.process import Failure, Meter

UNDER_WAY = 32
# Above this the core has nothing left to give.
SATURATED = 0.95
FIGURES = [("cpu_us_per_handshake", "{:.1f}"), ("handshakes_per_second", "{:.0f}"),
           ("latency_p50_us", "{:.0f}"), ("latency_p99_us", "{:.0f}"),
           ("proxy_core_share", "{:.2f}"), ("others_core_share", "{:.2f}")]
KINDS = [(version, kind) for version in ("1.3", "1.2") for kind in ("Full", "Resumed")]


def run(options, place):
    tls = certificates.Tls(place)
    backend = proxies.PlainBackend(place)
    try:
        with proxies.start_sides(place, options, backend.address, False, tls) as sides:
            agreements.check(sides)
            return {f"{version} {kind}": _pairs(options, sides, version, kind)
                    for version, kind in KINDS}
    finally:
        backend.stop()


def _pairs(options, sides, version, kind):
    print(f"  TLS {version}, {kind.lower()}", flush=True)
    pairs = []
    for number in range(1, options.pairs + 1):
        pair = {side: _measure(options, proxy, version, kind) for side, proxy in sides.items()}
        pairs.append(pair)
        figures.print_pair(number, pair, FIGURES[0][0])
    for proxy in sides.values():
        check_quiet(proxy)
    for side in sides:
        slower = ", ".join(sorted({pair[side]["slower"] for pair in pairs}))
        print(f"  {side}: the {slower} set the pace", flush=True)
    return {"pairs": pairs, "summary": figures.print_summary(pairs, FIGURES)}


def _load(options, proxy, version, kind, seconds):
    said = load.openloop(options.openloop, proxy, seconds, "--handshakes", "--danger-no-verify",
                         "--streams", str(UNDER_WAY), "--tls-version", version,
                         *(["--resume"] if kind == "Resumed" else []),
                         "--duration", str(seconds), "--warm-up", "0")
    other = sum(count for agreement, count in said["agreements"].items()
                if not _is_as_asked(agreement, kind))
    # The first of each client has nothing to resume.
    if other > (UNDER_WAY if kind == "Resumed" else 0):
        raise Failure(f"{proxy.name}: not {kind.lower()} handshakes alone: {said['agreements']}")
    return said


def _is_as_asked(agreement, kind):
    """A resumed TLS 1.2 session has no key exchange, and so no group."""
    protocol, suite, group, seen = agreement.split()
    group_fits = group == "X25519" or (protocol, kind) == ("TLSv1_2", "Resumed")
    return seen == kind and group_fits and "AES_128_GCM_SHA256" in suite


def _measure(options, proxy, version, kind):
    _load(options, proxy, version, kind, options.warm_up)
    with Meter(proxy, proxies.PROXY_CORE) as meter:
        said = _load(options, proxy, version, kind, options.seconds)
    share = meter.cpu_seconds / meter.seconds
    return {"cpu_us_per_handshake": meter.cpu_seconds * 1e6 / said["completed"],
            "handshakes_per_second": said["completed"] / said["seconds"],
            "latency_p50_us": said["latency_us"]["p50"],
            "latency_p99_us": said["latency_us"]["p99"],
            "slower": "server" if share + meter.others_share > SATURATED else "generator",
            "proxy_core_share": share, "others_core_share": meter.others_share,
            "cpu_seconds": meter.cpu_seconds, "generator": said}
