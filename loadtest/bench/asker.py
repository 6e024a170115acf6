"""One request to a model, told from its first byte to its last.

A connection for each request, and nobody retries: what becomes of it is what
a client without a second try would have seen.
"""

import asyncio
import json
import time

# Longer than any answer takes; whoever reaches it has been forgotten.
SECONDS_MAX = 30
LINE_BYTES_MAX = 1 << 20
EFFECT = b"a file to be kept"

WHOLE = "whole"
# No byte of an answer to keep: another backend could have given it.
REFUSED = "refused"  # an answer that says that there is none
UNANSWERED = "unanswered"  # not even that
# In mid-answer, where nobody can take over.
CUT_TOLD = "cut and told"  # an error inside the stream says so
CUT = "cut"
# What must never be.
LOOKS_WHOLE = "cut, and made to look whole"
STALLED = "stalled"

SAVABLE = (REFUSED, UNANSWERED)


class Outcome:
    def __init__(self, kind, started, first=None, status=None, why=""):
        self.kind, self.status, self.why = kind, status, why
        self.started, self.first, self.ended = started, first, time.monotonic()


def body(streamed, tokens, prompt_bytes):
    return json.dumps({
        "model": "m", "stream": streamed, "max_tokens": tokens,
        "messages": [{"role": "user", "content": "word " * (prompt_bytes // 5)}]}).encode()


def request(identity, streamed, tokens, prompt_bytes=200):
    asked = body(streamed, tokens, prompt_bytes)
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: m\r\ncontent-type: application/json\r\n"
            f"x-request-id: {identity}\r\ncontent-length: {len(asked)}\r\nconnection: close\r\n\r\n")
    return head.encode() + asked


def effect(identity):
    """A request that no model reads: who has read it may have done its work."""
    return (f"POST /v1/files HTTP/1.1\r\nhost: m\r\nx-mock-echo: 1\r\nx-request-id: {identity}\r\n"
            f"content-length: {len(EFFECT)}\r\nconnection: close\r\n\r\n").encode() + EFFECT


async def ask(address, identity, streamed, tokens, prompt_bytes=200):
    """What became of the request, always."""
    story = _Story()
    words = request(identity, streamed, tokens, prompt_bytes)
    return await _told(story, story.tell(address, words, streamed, tokens))


async def ask_effect(address, identity):
    """What became of a request that may have had an effect."""
    story = _Story()
    return await _told(story, story.tell(address, effect(identity), False, None))


async def _told(story, telling):
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await telling
    except TimeoutError:
        return Outcome(STALLED, story.started, story.first, story.status, f"{SECONDS_MAX} s passed")
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        told = "an error event" if story.has_error else type(error).__name__
        story.why = story.why or told
    return Outcome(story.kind(), story.started, story.first, story.status, story.why)


class _Story:
    def __init__(self):
        self.started, self.first, self.status = time.monotonic(), None, None
        self.is_whole = self.has_done = self.has_error = False
        self.pieces, self.why, self.is_right = 0, "", True

    def kind(self):
        if self.status is None:
            return UNANSWERED
        if self.status != 200:
            return REFUSED
        if self.is_whole:
            return WHOLE if self.is_right else LOOKS_WHOLE
        return CUT_TOLD if self.has_error else CUT

    async def tell(self, address, words, streamed, tokens):
        host, port = address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port), limit=LINE_BYTES_MAX)
        try:
            writer.write(words)
            await writer.drain()
            length = await self._head(reader)
            if self.status != 200:
                body = await (reader.read(4096) if length is None else reader.readexactly(length))
                self.why = f"{self.status} {_code(body)}"
            elif streamed:
                await self._stream(reader, length, tokens)
            else:
                body = await _body(reader, length)
                self.is_whole = True
                self.is_right = (body == EFFECT if tokens is None else
                                 json.loads(body)["usage"]["completion_tokens"] == tokens)
        finally:
            writer.close()

    async def _head(self, reader):
        """The body's length, `None` where it comes in chunks."""
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        self.first = time.monotonic()
        self.status = int(line.split()[1])
        length = None
        while (line := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if not line:
            raise EOFError
        return length

    async def _stream(self, reader, length, tokens):
        self.first = None  # the first event is, not the head
        body = b""
        async for piece in _pieces(reader, length):
            self.first = self.first or time.monotonic()
            body += piece
            self.has_error = b'"error"' in body
        self.has_done = b"data: [DONE]" in body
        self.pieces = body.count(b'"delta":{"content":')
        self.is_whole = self.has_done
        self.is_right = self.pieces >= tokens and not self.has_error
        self.why = "" if self.has_done else "an error event" if self.has_error else "no [DONE]"


async def _pieces(reader, length):
    if length is not None:
        yield await reader.readexactly(length)
        return
    while True:
        size = int((await reader.readline()).split(b";")[0], 16)
        piece = await reader.readexactly(size + 2)
        if size == 0:
            return
        yield piece[:size]


async def _body(reader, length):
    return b"".join([piece async for piece in _pieces(reader, length)])


def _code(body):
    try:
        error = json.loads(body)["error"]
        return str(error.get("code") or error.get("type"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "without a reason"
