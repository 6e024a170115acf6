"""Eight engines of which one is bad, and an oracle that knows their queues.

An engine is a `tokenring mock` that reads one prompt after another, so that
what is under way there makes the next one wait. It sends a stream's head at
once, as engines do; the first token tells when the prompt was read.
"""

import asyncio
import dataclasses
import json
import urllib.request

from bench import proxies
from bench.process import Process, free_address

BACKENDS = 8
BAD = 3
TOKENS = 10
GAP_MS = 10
FLOOR_MS = 10  # of every first token, whatever waits
SHORT_TOKENS, LONG_TOKENS = 100, 30_000
BYTES_PER_TOKEN = 4
SLOW_TIMES = 5
COLD_REQUESTS, COLD_TIMES = 20, 10


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    text: str
    # To read one token of a prompt; few requests a second keep all engines
    # busy then, as all that is here shares two cores.
    per_token_us: int = 250
    # How busy those that are well are, if they share all work evenly.
    busy: float = 0.6
    long_share: float = 0.0
    # Without a byte for so long an answer is given up, by every proxy.
    timeout_seconds: int = 2

    @property
    def well(self):
        return BACKENDS if self.name in ("sizes", "cold") else BACKENDS - 1

    @property
    def rate(self):
        """Requests in a second."""
        mean = SHORT_TOKENS * (1 - self.long_share) + LONG_TOKENS * self.long_share
        return self.well * self.busy / (mean * self.per_token_us / 1e6)

    @property
    def is_one_bad(self):
        return self.name != "sizes"


SCENARIOS = {one.name: one for one in [
    Scenario("slow", f"one takes {SLOW_TIMES} times as long"),
    Scenario("hole", "one answers 500 at once"),
    Scenario("stall", "one accepts and never answers"),
    Scenario("cold", f"the first {COLD_REQUESTS} prompts of one take {COLD_TIMES} times as long"),
    Scenario("sizes", f"none is bad; one prompt in 50 has {LONG_TOKENS} tokens, the others {SHORT_TOKENS}",
             per_token_us=30, busy=0.5, long_share=0.02, timeout_seconds=20),
]}


class Replicas:
    """The eight, fresh for each measurement. Use it as a context."""

    def __init__(self, place, scenario):
        self._place, self._scenario = place, scenario
        self.addresses, self._mocks, self._silent = [], {}, None

    async def __aenter__(self):
        try:
            for index in range(BACKENDS):
                self.addresses.append(await self._start(index))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        for mock in self._mocks.values():
            mock.stop()
        if self._silent:
            self._silent.stop()

    async def _start(self, index):
        name = self._scenario.name if index == BAD else "well"
        if name == "stall":
            self._silent = Silent()
            return await self._silent.start()
        times = SLOW_TIMES if name == "slow" else 1
        words = {"hole": "--status 500",
                 "cold": f"--cold-requests {COLD_REQUESTS} --cold-times {COLD_TIMES}"}.get(name, "")
        address = free_address()
        command = (f"{proxies.binary()} mock --listen {address} --cores {proxies.LOAD_CORE} "
                   f"--prefill-per-token {self._scenario.per_token_us * times}us "
                   f"--first-token {FLOOR_MS * times}ms --token-gap {GAP_MS * times}ms "
                   f"--tokens {TOKENS} {words}")
        log = self._place.fresh("mock") / "output.log"
        self._mocks[index] = Process("mock", command, proxies.LOAD_CORE, address, log)
        return address

    def must_run(self):
        for mock in self._mocks.values():
            mock.must_run()

    async def asked(self, index):
        """Requests that reached it so far, first attempts and further ones."""
        if index not in self._mocks:
            return self._silent.asked
        return await asyncio.to_thread(_llm_requests, self.addresses[index])


def _llm_requests(address):
    with urllib.request.urlopen(f"http://{address}/mock/stats", timeout=5) as page:
        return json.load(page)["llm_requests"]


class Silent:
    """A server that accepts and never answers, not even a probe of its health."""

    def __init__(self):
        self.asked = 0
        self._server = None

    async def start(self):
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return "127.0.0.1:%d" % self._server.sockets[0].getsockname()[1]

    def stop(self):
        self._server.close()

    async def _take(self, reader, writer):
        try:
            piece = await reader.read(65536)
            self.asked += piece.startswith(b"POST ")
            while piece:
                piece = await reader.read(65536)
        except (OSError, asyncio.CancelledError):
            pass  # given up, or the run is over
        finally:
            writer.close()


class Oracle:
    """Knows when each engine will have read what it has, and sends there
    itself: the engine which would write the first token soonest."""

    def __init__(self, replicas, scenario, chance):
        self._replicas, self._scenario, self._chance = replicas, scenario, chance
        self._free_at = [0.0] * BACKENDS
        self._cold_left = COLD_REQUESTS if scenario.name == "cold" else 0

    def choose(self, tokens, now):
        """The address for a prompt of so many tokens."""
        usable = [index for index in range(BACKENDS)
                  if index != BAD or self._scenario.name not in ("hole", "stall")]
        self._chance.shuffle(usable)
        best = min(usable, key=lambda index: self._read_at(index, tokens, now) + self._floor(index))
        self._free_at[best] = self._read_at(best, tokens, now)
        if best == BAD and self._cold_left:
            self._cold_left -= 1
        return self._replicas.addresses[best]

    def _read_at(self, index, tokens, now):
        times = self._slow(index) * (COLD_TIMES if index == BAD and self._cold_left else 1)
        return max(now, self._free_at[index]) + tokens * self._scenario.per_token_us * times / 1e6

    def _floor(self, index):
        return FLOOR_MS * self._slow(index) / 1e3

    def _slow(self, index):
        return SLOW_TIMES if index == BAD and self._scenario.name == "slow" else 1
