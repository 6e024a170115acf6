"""A storm of handshakes while streams run: no stream breaks, none waits long.

200 streams run through the proxy, each once. Half-way 2,000 clients arrive
within one second for a full handshake each. The largest gap between events of
each stream is told beside the same without the storm. Streams, backend and
storm share a core, so the generator has a gap of its own: `bystander` streams
come straight from the backend while the storm meets the proxy. The storm's
clients have the least priority of all. A proxy may shed some of them, which is
told and is no fault of the run; a stream that breaks is one.
"""

from bench import agreements, certificates, figures, load, proxies
from bench.plain import check_quiet
from bench.process import Failure

STREAMS = 200
GAP_MS = 20
TOKENS = 250
STREAM_SECONDS = GAP_MS * TOKENS / 1e3
HANDSHAKES = 2_000
STORM_SECONDS = 1
# The streams have started by then.
STORM_AFTER_SECONDS = 2
# A step of a quarter of the gap and a bit, so that the streams do not tick in step.
STAGGER_MS = 1_025
NICENESS = 19
FIGURES = [("added_gap_ms", "{:.2f}"), ("calm_gap_max_ms", "{:.2f}"), ("storm_gap_max_ms", "{:.2f}"),
           ("storm_gap_p50_ms", "{:.2f}"), ("bystander_gap_max_ms", "{:.2f}"),
           ("handshakes", "{:.0f}"), ("handshakes_failed", "{:.0f}"),
           ("handshake_p50_ms", "{:.1f}"), ("handshake_max_ms", "{:.1f}")]


def run(options, place):
    tls = certificates.Tls(place)
    backend = proxies.StreamBackend(place, options.stream_backend, GAP_MS, TOKENS)
    try:
        events = load.events_per_stream(options.openloop, backend.process)
        with proxies.start_sides(place, options, backend.address, True, tls) as sides:
            agreements.check(sides)
            rounds = [{side: _measure(options, proxy, backend, events)
                       for side, proxy in sides.items()} for _ in range(options.pairs)]
            for proxy in sides.values():
                check_quiet(proxy)
    finally:
        backend.stop()
    return {"pairs": rounds, "summary": figures.print_summary(rounds, FIGURES)}


def _measure(options, proxy, backend, events):
    calm, _ = _streams(options, proxy, events, None)
    storm, seen = _streams(options, proxy, events, proxy)
    bystander, _ = _streams(options, backend.process, events, proxy)
    gaps = {name: said["largest_gap_us"]["max"] / 1e3
            for name, said in (("calm", calm), ("storm", storm), ("bystander", bystander))}
    return {"added_gap_ms": gaps["storm"] - gaps["calm"],
            **{f"{name}_gap_max_ms": gap for name, gap in gaps.items()},
            "storm_gap_p50_ms": storm["largest_gap_us"]["p50"] / 1e3,
            "handshakes": seen["completed"],
            "handshake_p50_ms": seen["latency_us"]["p50"] / 1e3,
            "handshake_max_ms": seen["latency_us"]["max"] / 1e3,
            "handshakes_failed": sum(seen["faults"].values()),
            "generators": {"calm": calm, "storm": storm, "bystander": bystander, "handshakes": seen}}


def _streams(options, server, events, stormed):
    """Every stream once; what the storm saw, if one meets `stormed`."""
    seconds = STREAM_SECONDS + STORM_AFTER_SECONDS
    # Nothing follows a stream, as the time to begin one is over by then.
    with load.openloop_beside(options.openloop, server, seconds, "--sse",
                              "--streams", str(STREAMS), "--duration", "1", "--warm-up", "0",
                              "--stagger", str(STAGGER_MS), "--drain", str(seconds * 2),
                              "--expect-events", str(events)) as streams:
        seen = _storm(options, stormed) if stormed else None
        said = streams()
    if said["faults"] or said["completed"] != STREAMS:
        raise Failure(f"{server.name}: {said['completed']} of {STREAMS} streams came whole: "
                      f"{said['faults']}")
    return said, seen


def _storm(options, proxy):
    load.wait(STORM_AFTER_SECONDS)
    with load.openloop_beside(options.openloop, proxy, STORM_SECONDS, "--handshakes",
                              "--danger-no-verify", "--rate", str(HANDSHAKES / STORM_SECONDS),
                              "--connections", str(HANDSHAKES), "--duration", str(STORM_SECONDS),
                              "--warm-up", "0", niceness=NICENESS) as storm:
        seen = storm()
    if seen["started"] < HANDSHAKES:
        raise Failure(f"only {seen['started']} of {HANDSHAKES} handshakes were begun")
    return seen
