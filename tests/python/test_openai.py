"""What users of OpenAI's own client see through the proxy."""

import base64
import random
import time

import openai
import pytest

from servers import script, wait_until

HELLO = [{"role": "user", "content": "Hello"}]


def chat(messages=HELLO, headers=None, **fields):
    return lambda client: client.chat.completions.create(
        model="mock", messages=messages, extra_headers=headers or script(), **fields
    )


def text(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def nothing_is_left_open(mock):
    wait_until(lambda: mock.stats()["streams_open"] == 0, "streams_open is 0 again")


def test_a_plain_answer_is_whole(openai_client, proxy):
    answer = openai_client(proxy).answer(chat())
    assert answer.choices[0].message.role == "assistant"
    assert len(answer.choices[0].message.content) == 12 * 4
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12


def test_a_stream_brings_every_token(openai_client, proxy):
    chunks = openai_client(proxy).stream(chat(stream=True))
    assert len(text(chunks)) == 12 * 4
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) == 12
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert [reason for reason in reasons if reason] == ["stop"]


def test_usage_is_told_only_to_who_asks(openai_client, proxy):
    client = openai_client(proxy)
    assert not any(chunk.usage for chunk in client.stream(chat(stream=True)))
    chunks = client.stream(chat(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 12


def test_tokens_arrive_as_they_are_made(openai_client, proxy):
    arrived = []

    class Clock(list):
        def append(self, item):
            arrived.append(time.monotonic())
            super().append(item)

    headers = script(tokens=6, token_gap="60ms")
    assert len(text(openai_client(proxy).stream(chat(headers=headers, stream=True), Clock()))) == 24
    # Five gaps of 60 ms: held back, the chunks would come at once.
    assert arrived[-1] - arrived[0] > 0.2


def test_text_completions_pass(openai_client, proxy):
    answer = openai_client(proxy).answer(
        lambda client: client.completions.create(
            model="mock", prompt="Hello", extra_headers=script()
        )
    )
    assert len(answer.choices[0].text) == 12 * 4


def test_embeddings_pass(openai_client, proxy):
    answer = openai_client(proxy).answer(
        lambda client: client.embeddings.create(model="mock", input="Hello")
    )
    assert len(answer.data[0].embedding) > 0
    assert all(isinstance(number, float) for number in answer.data[0].embedding)


def test_models_are_listed(openai_client, proxy):
    listed = openai_client(proxy).answer(lambda client: client.models.list())
    assert listed.data
    assert all(model.id for model in listed.data)


ERRORS = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_errors_of_the_backend_keep_their_class(openai_client, proxy, status, kind, stream):
    with pytest.raises(kind) as raised:
        openai_client(proxy).answer(chat(headers=script(status=status), stream=stream))
    assert raised.value.status_code == status
    assert raised.value.body["message"]


def test_retry_after_passes(openai_client, proxy):
    with pytest.raises(openai.RateLimitError) as raised:
        openai_client(proxy).answer(chat(headers=script(status=429, retry_after="2s")))
    assert raised.value.response.headers["retry-after"] == "2"


def test_a_cut_stream_raises(openai_client, proxy):
    seen = []
    with pytest.raises(openai.APIError) as raised:
        openai_client(proxy).stream(chat(headers=script(cut_at=4), stream=True), seen)
    # An event in the stream said so: the connection alone may look like an end.
    assert not isinstance(raised.value, openai.APIConnectionError)
    assert raised.value.message
    assert len(text(seen)) == 4 * 4


def test_an_error_inside_a_stream_raises(openai_client, proxy):
    seen = []
    with pytest.raises(openai.APIError):
        openai_client(proxy).stream(chat(headers=script(error_at=4), stream=True), seen)
    assert len(text(seen)) == 4 * 4


def test_a_cut_answer_raises(openai_client, proxy):
    with pytest.raises(openai.APIError):
        openai_client(proxy).answer(chat(headers=script(cut_at=4)))


def test_a_backend_that_hangs_up_is_a_bad_gateway(openai_client, proxy):
    with pytest.raises(openai.InternalServerError) as raised:
        openai_client(proxy).answer(chat(headers=script(cut_at="head")))
    assert raised.value.status_code == 502
    assert raised.value.body["type"] == "server_error"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_backend_that_is_down_is_a_server_error(openai_client, proxy_to_nowhere, stream):
    with pytest.raises(openai.InternalServerError) as raised:
        openai_client(proxy_to_nowhere).answer(chat(stream=stream))
    assert raised.value.status_code in (502, 503)
    assert raised.value.body.keys() == {"message", "type", "param", "code"}


def test_leaving_a_stream_stops_the_backend(openai_client, proxy, mock):
    nothing_is_left_open(mock)
    wasted = mock.stats()["tokens_after_client_left"]
    headers = script(tokens=100_000, token_gap="5ms")
    openai_client(proxy).leave(chat(headers=headers, stream=True), 5)
    nothing_is_left_open(mock)
    assert mock.stats()["tokens_after_client_left"] == wasted


def test_giving_up_on_a_silent_stream_stops_the_backend(openai_client, proxy, mock):
    nothing_is_left_open(mock)
    seen = []
    with pytest.raises(openai.APITimeoutError):
        openai_client(proxy, timeout=0.5).stream(
            chat(headers=script(stall_at=3), stream=True), seen
        )
    assert len(text(seen)) == 3 * 4
    nothing_is_left_open(mock)


def test_giving_up_before_the_first_byte_stops_the_backend(openai_client, proxy, mock):
    with pytest.raises(openai.APITimeoutError):
        openai_client(proxy, timeout=0.5).answer(chat(headers=script(stall_at="head"), stream=True))
    nothing_is_left_open(mock)


def test_an_image_of_five_megabytes_passes(openai_client, proxy):
    image = base64.b64encode(random.Random(1).randbytes(3_750_000)).decode()
    assert len(image) == 5_000_000
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
    ]
    answer = openai_client(proxy).answer(chat([{"role": "user", "content": content}]))
    assert len(answer.choices[0].message.content) == 12 * 4


def test_an_unknown_path_is_not_found(openai_client, proxy):
    with pytest.raises(openai.NotFoundError):
        openai_client(proxy).answer(lambda client: client.get("/nothing", cast_to=object))


def test_fifty_at_once_get_their_own_answers(openai_client, proxy):
    asks = [chat(headers=script(tokens=n)) for n in range(1, 51)]
    answers = openai_client(proxy).answers(asks)
    assert [answer.usage.completion_tokens for answer in answers] == list(range(1, 51))
    assert [len(a.choices[0].message.content) for a in answers] == [4 * n for n in range(1, 51)]


def test_fifty_streams_at_once_get_their_own_tokens(openai_client, proxy, mock):
    asks = [chat(headers=script(tokens=n, token_gap="5ms"), stream=True) for n in range(1, 51)]
    streams = openai_client(proxy).streams(asks)
    assert [len(text(chunks)) for chunks in streams] == [4 * n for n in range(1, 51)]
    nothing_is_left_open(mock)
