"""One door to the official clients, whether they wait or are awaited.

A row says what to ask as a function of the client; the same function serves
the synchronous client and the asynchronous one.
"""

import asyncio
import concurrent.futures


class SyncClient:
    def __init__(self, make):
        self._make = make

    def answer(self, ask):
        with self._make() as client:
            return ask(client)

    def answers(self, asks):
        """All at once, over one client, in the order asked."""
        with self._make() as client, concurrent.futures.ThreadPoolExecutor(len(asks)) as pool:
            return list(pool.map(lambda ask: ask(client), asks))

    def stream(self, ask, seen=None):
        """Every item of a stream. What came before a fault is in `seen`."""
        seen = [] if seen is None else seen
        with self._make() as client:
            for item in ask(client):
                seen.append(item)
        return seen

    def streams(self, asks):
        def collect(ask):
            return list(ask(client))

        with self._make() as client, concurrent.futures.ThreadPoolExecutor(len(asks)) as pool:
            return list(pool.map(collect, asks))

    def leave(self, ask, items):
        """Closes a stream after so many items."""
        with self._make() as client, ask(client) as stream:
            for _ in range(items):
                next(stream)

    def message(self, ask, seen=None):
        """The text pieces and the final message of Anthropic's stream helper."""
        seen = [] if seen is None else seen
        with self._make() as client, ask(client) as stream:
            for text in stream.text_stream:
                seen.append(text)
            return stream.get_final_message()


class AsyncClient:
    def __init__(self, make):
        self._make = make

    def answer(self, ask):
        return self._run(ask)

    def answers(self, asks):
        async def all_at_once(client):
            return await asyncio.gather(*(ask(client) for ask in asks))

        return self._run(all_at_once)

    def stream(self, ask, seen=None):
        seen = [] if seen is None else seen

        async def collect(client):
            async for item in await ask(client):
                seen.append(item)
            return seen

        return self._run(collect)

    def streams(self, asks):
        async def collect(client, ask):
            return [item async for item in await ask(client)]

        async def all_at_once(client):
            return await asyncio.gather(*(collect(client, ask) for ask in asks))

        return self._run(all_at_once)

    def leave(self, ask, items):
        async def some(client):
            async with await ask(client) as stream:
                for _ in range(items):
                    await anext(stream)

        self._run(some)

    def message(self, ask, seen=None):
        seen = [] if seen is None else seen

        async def collect(client):
            async with ask(client) as stream:
                async for text in stream.text_stream:
                    seen.append(text)
                return await stream.get_final_message()

        return self._run(collect)

    def _run(self, work):
        async def with_client():
            async with self._make() as client:
                return await work(client)

        return asyncio.run(with_client())
