"""Backends that are killed and started again at random while requests come.

Four mocks, at most two of them dead at once. A request that failed before any
byte of an answer could have been saved by asking another backend; one that was
cut in mid-answer could not. Each mock writes down the ids of the answers that
went out whole, so that an id that stands there twice was answered twice.

One request in ten is not for a model and may have had an effect (POST
/v1/files). The mocks write down its id when its head has come: one that stands
there twice may have had its effect twice. One that failed and stands there not
at all was sent to a mock that died before it read: who has sent it cannot know
that, and must not send it again.
"""

import asyncio
import collections
import random
import time

from bench import asker, proxies
from bench.process import Failure, Process, free_address

BACKENDS = 4
DEAD_MAX = BACKENDS // 2
RATE = 60.0  # requests in a second
TOKENS = 20
SCRIPT = f"--first-token 20ms --token-gap 5ms --tokens {TOKENS}"
# Between two deeds, at random between these.
PAUSE_SECONDS = (0.1, 0.9)
REASONS_SHOWN = 12
# One in so many requests may have an effect.
EFFECT_EVERY = 10


def run(options, place):
    run_ = _Run(options, place)
    try:
        figures = asyncio.run(run_.all())
    finally:
        run_.stop()
    _print(figures)
    return figures


class _Run:
    def __init__(self, options, place):
        self._options, self._place = options, place
        self._chance = random.Random(options.seed)
        ids = place.fresh("ids")
        self._asked, self._answered = ids / "asked", ids / "answered"
        self._asked.touch()
        self._answered.touch()
        self._mocks, self._kills, self._starts = {}, 0, 0
        self._proxy = None
        self._tokenring = proxies.binary()

    async def all(self):
        for _ in range(BACKENDS):
            address = free_address()
            self._mocks[address] = self._start(address)
        self._proxy = self._start_proxy()
        ended = asyncio.Event()
        killer = asyncio.create_task(self._kill(ended))
        outcomes = await self._ask()
        ended.set()
        await killer
        self._proxy.must_run()
        return self._figures(outcomes)

    def stop(self):
        for process in [self._proxy, *self._mocks.values()]:
            if process is not None:
                process.stop()

    def _start(self, address):
        command = (f"{self._tokenring} mock --listen {address} --cores {proxies.LOAD_CORE} "
                   f"--asked {self._asked} --answered {self._answered} {SCRIPT}")
        log = self._place.fresh("mock") / "output.log"
        return Process("mock", command, proxies.LOAD_CORE, address, log)

    def _start_proxy(self):
        address = free_address()
        backends = " ".join(f"--backend http://{mock}" for mock in self._mocks)
        command = (f"{self._tokenring} serve --listen {address} --admin {free_address()} "
                   f"--cores {proxies.PROXY_CORE} {backends} {self._options.serve_flags}")
        log = self._place.fresh("ours") / "output.log"
        return Process("ours", command, proxies.PROXY_CORE, address, log)

    async def _kill(self, ended):
        """Kills and starts, never more than half of them dead."""
        while not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), self._chance.uniform(*PAUSE_SECONDS))
                return
            except TimeoutError:
                pass
            dead = [address for address, mock in self._mocks.items() if mock is None]
            address = self._chance.choice(dead if len(dead) == DEAD_MAX else list(self._mocks))
            if address in dead:
                self._mocks[address] = await asyncio.to_thread(self._start, address)
                self._starts += 1
            else:
                mock, self._mocks[address] = self._mocks[address], None
                await asyncio.to_thread(mock.kill)
                self._kills += 1

    async def _ask(self):
        """Requests at a steady rate, every other one to a model streamed."""
        rate = self._options.rate or RATE
        started, tasks = time.monotonic(), []
        for index in range(int(rate * self._options.seconds)):
            await asyncio.sleep(max(0.0, started + index / rate - time.monotonic()))
            address, identity = self._proxy.address, f"kill-{index}"
            if _has_effect(index):
                asking = asker.ask_effect(address, identity)
            else:
                asking = asker.ask(address, identity, index % 2 == 0, TOKENS)
            tasks.append(asyncio.create_task(asking))
        return await asyncio.gather(*tasks)

    def _figures(self, outcomes):
        answered = collections.Counter(self._answered.read_text().split())
        if not answered:
            raise Failure("the mocks have written down no answer")
        asked = collections.Counter(self._asked.read_text().split())
        effects = {f"kill-{index}": one for index, one in enumerate(outcomes) if _has_effect(index)}
        done = [asked[identity] for identity in effects]
        unread = [one.kind != asker.WHOLE and asked[identity] == 0
                  for identity, one in effects.items()]
        outcomes = [one for index, one in enumerate(outcomes) if not _has_effect(index)]
        kinds = collections.Counter(outcome.kind for outcome in outcomes)
        reasons = collections.Counter(
            f"{one.kind}: {one.why}" for one in outcomes if one.kind != asker.WHOLE)
        return {
            "seed": self._options.seed, "seconds": self._options.seconds,
            "requests": len(outcomes), "kills": self._kills, "starts": self._starts,
            "whole": kinds[asker.WHOLE],
            "savable_failures": sum(kinds[kind] for kind in asker.SAVABLE),
            "cut_in_mid_answer": kinds[asker.CUT] + kinds[asker.CUT_TOLD],
            "cut_without_a_word": kinds[asker.CUT],
            "made_to_look_whole": kinds[asker.LOOKS_WHOLE],
            "stalled": kinds[asker.STALLED],
            "answered_twice": sum(1 for count in answered.values() if count > 1),
            "effects": len(effects),
            "effects_answered": sum(one.kind == asker.WHOLE for one in effects.values()),
            "effects_doubled": sum(count > 1 for count in done),
            "effects_lost_unread": sum(unread),
            "reasons": dict(reasons.most_common(REASONS_SHOWN)),
        }


def _has_effect(index):
    return index % EFFECT_EVERY == EFFECT_EVERY - 1


def _print(figures):
    for name, value in figures.items():
        if name != "reasons":
            print(f"  {name.replace('_', ' '):<24}{value:>10}", flush=True)
    for reason, count in figures["reasons"].items():
        print(f"    {count:>6}  {reason}", flush=True)
