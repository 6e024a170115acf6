"""Streaming scenarios: many streams held open, by openloop in closed mode.

The primary figure is the proxy's CPU time for each relayed event. It falls
when events clump, so the events for each read, the gaps and the largest gap
of each stream are shown with it: a low cost bought by delay is no merit.
"""

from bench import agreements, figures, load, proxies
from bench.plain import check_quiet
from bench.process import Failure, Meter

TOKENS = 51
FIGURES = [("cpu_us_per_event", "{:.2f}"), ("events_per_second", "{:.0f}"),
           ("events_per_read", "{:.2f}"), ("first_event_p50_us", "{:.0f}"),
           ("first_event_p99_us", "{:.0f}"), ("gap_p50_us", "{:.0f}"), ("gap_p99_us", "{:.0f}"),
           ("largest_gap_p50_us", "{:.0f}"), ("largest_gap_max_us", "{:.0f}"),
           ("proxy_core_share", "{:.2f}"), ("others_core_share", "{:.2f}")]


def run(options, place, streams, gap_ms, tls=None):
    backend = proxies.StreamBackend(place, options.stream_backend, gap_ms, TOKENS)
    try:
        backend.events = load.events_per_stream(options.openloop, backend.process)
        if options.direct:
            _print_direct(options, backend, streams, gap_ms)
        return _pairs(options, place, backend, streams, gap_ms, tls)
    finally:
        backend.stop()


def _pairs(options, place, backend, streams, gap_ms, tls):
    with proxies.start_sides(place, options, backend.address, True, tls) as sides:
        if tls:
            agreements.check(sides)
        pairs = []
        for number in range(1, options.pairs + 1):
            pair = {side: _measure(options, proxy, backend.events, streams, gap_ms)
                    for side, proxy in sides.items()}
            pairs.append(pair)
            figures.print_pair(number, pair, FIGURES[0][0])
        for proxy in sides.values():
            check_quiet(proxy)
    return {"pairs": pairs, "summary": figures.print_summary(pairs, FIGURES)}


def _load(options, server, events, streams, gap_ms, seconds):
    # Spread over one stream's length, so that the streams do not tick in step.
    spread_ms = 0 if options.in_step else gap_ms * TOKENS
    said = load.openloop(options.openloop, server, seconds, "--sse", "--streams", str(streams),
                         "--duration", str(seconds), "--warm-up", "0",
                         "--stagger", str(spread_ms), "--expect-events", str(events))
    if said["events"] != said["completed"] * events:
        raise Failure(f"{said['events']} events in {said['completed']} streams of {events}")
    return said


def _print_direct(options, backend, streams, gap_ms):
    said = _load(options, backend.process, backend.events, streams, gap_ms, options.seconds)
    print(f"  direct: {said['events_per_second']:.0f} events/s, gap p50 {said['gap_us']['p50']:.0f} "
          f"p99 {said['gap_us']['p99']:.0f} us, largest {said['largest_gap_us']['max']:.0f} us",
          flush=True)


def _measure(options, proxy, events, streams, gap_ms):
    _load(options, proxy, events, streams, gap_ms, options.warm_up)
    with Meter(proxy, proxies.PROXY_CORE) as meter:
        said = _load(options, proxy, events, streams, gap_ms, options.seconds)
    return {"cpu_us_per_event": meter.cpu_seconds * 1e6 / said["events"],
            "events_per_second": said["events_per_second"],
            "events_per_read": said["events"] / said["event_reads"],
            "first_event_p50_us": said["first_event_us"]["p50"],
            "first_event_p99_us": said["first_event_us"]["p99"],
            "gap_p50_us": said["gap_us"]["p50"], "gap_p99_us": said["gap_us"]["p99"],
            "largest_gap_p50_us": said["largest_gap_us"]["p50"],
            "largest_gap_max_us": said["largest_gap_us"]["max"],
            "proxy_core_share": meter.cpu_seconds / meter.seconds,
            "others_core_share": meter.others_share,
            "cpu_seconds": meter.cpu_seconds, "generator": said}
