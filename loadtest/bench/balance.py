"""Balancing on real sockets: ours, HAProxy, nginx and an oracle, in turn.

Eight engines, of which one is bad (`replicas.py`). Requests come in an open
loop at random moments that a round's seed decides, the same for every side;
each wait counts from the moment that was meant. Proxy and engines are fresh for each
measurement, as what a proxy must learn is a part of it.
"""

import asyncio
import collections
import contextlib
import math
import os
import random
import time

from bench import asker, proxies
from bench.process import Failure, Process, free_address
from bench.replicas import (BAD, BYTES_PER_TOKEN, LONG_TOKENS, SCENARIOS, SHORT_TOKENS, TOKENS,
                            Oracle, Replicas)

POLICIES = ["least_latency", "round_robin", "least_in_flight", "peak_ewma"]
PEERS = ["haproxy", "nginx"]
ORACLE = "oracle"
# From here on the bad one is to be known.
KNOWN_AFTER_SECONDS = 1.0
# A failure came later than any answer.
NEVER = math.inf
REASONS_SHOWN = 4


def run(options, place, name):
    scenario = SCENARIOS[name]
    policies = options.policy.split(",")
    if unknown := set(policies) - set(POLICIES):
        raise Failure(f"--policy is of {', '.join(POLICIES)}, not {', '.join(sorted(unknown))}")
    sides = [*policies, *PEERS, ORACLE]
    print(f"  {scenario.rate:.0f} requests/s for {options.seconds} s, {options.pairs} rounds, "
          f"tokenring of {proxies.binary().parent.name}", flush=True)
    rounds = []
    with _beside_the_backends():
        for number in range(options.pairs):
            seed = options.seed + number
            # Another one begins in each round.
            turns = sides[number % len(sides):] + sides[:number % len(sides)]
            measured = {side: _Measurement(options, place, scenario, side, seed).run() for side in turns}
            rounds.append({side: measured[side] for side in sides})
    summary = {side: _figures([seen for one in rounds for seen in one[side].seen],
                              [one[side] for one in rounds]) for side in sides}
    _print(scenario, summary)
    return {"rate": scenario.rate, "summary": summary,
            "rounds": [{side: _figures(one.seen, [one]) for side, one in round_.items()}
                       for round_ in rounds]}


@contextlib.contextmanager
def _beside_the_backends():
    """The asker shares the backends' core: the proxy has its own."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {proxies.LOAD_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _arrivals(scenario, seconds, seed):
    """When each request is due, and its prompt's tokens."""
    chance = random.Random(seed)
    due, found = 0.0, []
    while (due := due + chance.expovariate(scenario.rate)) < seconds:
        tokens = LONG_TOKENS if chance.random() < scenario.long_share else SHORT_TOKENS
        found.append((due, tokens))
    return found


class _Seen:
    """One request: when it was due, how late it was sent, what became of it."""

    def __init__(self, due, tokens, late, wait, why):
        self.due, self.tokens, self.late, self.wait, self.why = due, tokens, late, wait, why


class _Measurement:
    def __init__(self, options, place, scenario, side, seed):
        self._options, self._place, self._scenario = options, place, scenario
        self._side, self._seed = side, seed
        self.seen, self.bad_asked = [], 0

    def run(self):
        asyncio.run(self._all())
        return self

    async def _all(self):
        async with Replicas(self._place, self._scenario) as replicas:
            oracle = Oracle(replicas, self._scenario, random.Random(self._seed))
            proxy = None if self._side == ORACLE else self._start_proxy(replicas.addresses)
            try:
                await self._ask(replicas, oracle, proxy)
                replicas.must_run()
                if proxy:
                    proxy.must_run()
            finally:
                if proxy:
                    proxy.stop()

    async def _ask(self, replicas, oracle, proxy):
        began, tasks = time.monotonic(), []
        early = asyncio.create_task(self._asked_early(replicas))
        for due, tokens in _arrivals(self._scenario, self._options.seconds, self._seed):
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            address = proxy.address if proxy else oracle.choose(tokens, time.monotonic())
            tasks.append(asyncio.create_task(self._one(address, len(tasks), began, due, tokens)))
        self.seen = await asyncio.gather(*tasks)
        self.bad_asked = await replicas.asked(BAD) - await early

    async def _asked_early(self, replicas):
        await asyncio.sleep(KNOWN_AFTER_SECONDS)
        return await replicas.asked(BAD)

    async def _one(self, address, index, began, due, tokens):
        late = time.monotonic() - began - due
        prompt_bytes = max(0, tokens * BYTES_PER_TOKEN - _OVERHEAD_BYTES)
        outcome = await asker.ask(address, f"balance-{index}", True, TOKENS, prompt_bytes)
        is_whole = outcome.kind == asker.WHOLE
        wait = outcome.first - began - due if is_whole else NEVER
        return _Seen(due, tokens, late, wait, "" if is_whole else f"{outcome.kind}: {outcome.why}")

    def _start_proxy(self, backends):
        address, directory = free_address(), self._place.fresh(self._side)
        seconds = self._scenario.timeout_seconds
        if self._side == "nginx":
            servers = "\n".join(f"        server {backend} max_fails=5 fail_timeout=5s;"
                                for backend in backends)
            path = self._place.fill("nginx-balance.conf", directory, LISTEN=address, SERVERS=servers,
                                    TIMEOUT=str(seconds))
            command = [proxies.program("nginx"), "-c", path, "-e", str(directory / "error.log")]
        elif self._side == "haproxy":
            servers = "\n".join(f"    server b{index} {backend}"
                                for index, backend in enumerate(backends))
            path = self._place.fill("haproxy-balance.cfg", directory, LISTEN=address,
                                    SERVERS=servers, TIMEOUT=str(seconds))
            command = [proxies.program("haproxy"), "-f", path, "-db"]
        else:
            words = " ".join(f"--backend http://{backend}" for backend in backends)
            command = (f"{proxies.binary()} serve --listen {address} --cores {proxies.PROXY_CORE} "
                       f"--policy {self._side} --first-byte-timeout {seconds}s {words} "
                       f"{self._options.serve_flags}")
        return Process(self._side, command, proxies.PROXY_CORE, address, directory / "output.log")


# What a request's body has beside its prompt.
_OVERHEAD_BYTES = len(asker.body(True, TOKENS, 0))


def _figures(seen, measurements):
    known = [one for one in seen if one.due >= KNOWN_AFTER_SECONDS]
    if not known:
        raise Failure("no request was sent after the first second: --seconds 3 or more")
    short = [one for one in known if one.tokens == SHORT_TOKENS]
    reasons = collections.Counter(one.why for one in seen if one.why)
    return {
        "requests": len(seen),
        "ttft_p50_ms": _percentile([one.wait for one in seen], 0.50),
        "ttft_p99_ms": _percentile([one.wait for one in seen], 0.99),
        "known_ttft_p50_ms": _percentile([one.wait for one in known], 0.50),
        "known_ttft_p99_ms": _percentile([one.wait for one in known], 0.99),
        "known_short_ttft_p99_ms": _percentile([one.wait for one in short], 0.99),
        "known_to_the_bad_percent": 100 * sum(one.bad_asked for one in measurements) / len(known),
        "errors": sum(reasons.values()),
        "reasons": dict(reasons.most_common(REASONS_SHOWN)),
        "sent_late_p99_ms": _percentile([one.late for one in seen], 0.99),
    }


def _percentile(seconds, share):
    """In milliseconds by the nearest rank; `None` where that is a failure."""
    value = sorted(seconds)[math.ceil(len(seconds) * share) - 1] if seconds else NEVER
    return None if value == NEVER else value * 1e3


_COLUMNS = [("p50 ms", "known_ttft_p50_ms"), ("p99 ms", "known_ttft_p99_ms"),
            ("short p99", "known_short_ttft_p99_ms"), ("from 0 s: p99", "ttft_p99_ms")]


def _print(scenario, summary):
    titles = [title for title, _ in _COLUMNS] + ["p99 / oracle", "to the bad", "errors", "sent late"]
    print(f"  {'after the first second':<24}" + "".join(f"{title:>15}" for title in titles))
    for side, figures in summary.items():
        cells = [_cell(figures[name], "{:.1f}") for _, name in _COLUMNS]
        ours, best = figures["known_ttft_p99_ms"], summary[ORACLE]["known_ttft_p99_ms"]
        cells.append(_cell(ours / best if ours and best else None, "{:.2f}"))
        cells.append(f"{figures['known_to_the_bad_percent']:.2f} %" if scenario.is_one_bad else "-")
        cells += [f"{figures['errors']}/{figures['requests']}", _cell(figures["sent_late_p99_ms"], "{:.1f}")]
        print(f"  {side:<24}" + "".join(f"{cell:>15}" for cell in cells), flush=True)
    for side, figures in summary.items():
        for reason, count in figures["reasons"].items():
            print(f"    {side}: {count:>6}  {reason}", flush=True)


def _cell(value, form):
    return "failed" if value is None else form.format(value)
