"""What users of Anthropic's own client see through the proxy."""

import anthropic
import pytest

from servers import script, wait_until

HELLO = [{"role": "user", "content": "Hello"}]


def message(headers=None, **fields):
    return lambda client: client.messages.create(
        model="mock", max_tokens=1000, messages=HELLO, extra_headers=headers or script(), **fields
    )


def stream(headers=None):
    return lambda client: client.messages.stream(
        model="mock", max_tokens=1000, messages=HELLO, extra_headers=headers or script()
    )


def nothing_is_left_open(mock):
    wait_until(lambda: mock.stats()["streams_open"] == 0, "streams_open is 0 again")


def test_a_plain_answer_is_whole(anthropic_client, proxy):
    answer = anthropic_client(proxy).answer(message())
    assert (answer.type, answer.role) == ("message", "assistant")
    assert len(answer.content[0].text) == 12 * 4
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens == 12


def test_a_stream_brings_every_token(anthropic_client, proxy):
    seen = []
    final = anthropic_client(proxy).message(stream(), seen)
    assert [len(piece) for piece in seen] == [4] * 12
    assert final.content[0].text == "".join(seen)
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 12


def test_events_come_in_order(anthropic_client, proxy):
    events = anthropic_client(proxy).stream(message(headers=script(tokens=2), stream=True))
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


ERRORS = [
    (400, anthropic.BadRequestError),
    (401, anthropic.AuthenticationError),
    (403, anthropic.PermissionDeniedError),
    (404, anthropic.NotFoundError),
    (429, anthropic.RateLimitError),
    (500, anthropic.InternalServerError),
    (529, anthropic.InternalServerError),
]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_errors_of_the_backend_keep_class_and_shape(
    anthropic_client, proxy, status, kind, streamed
):
    with pytest.raises(kind) as raised:
        anthropic_client(proxy).answer(message(headers=script(status=status), stream=streamed))
    assert raised.value.status_code == status
    assert raised.value.body["type"] == "error"
    assert raised.value.body["error"].keys() >= {"type", "message"}


def test_a_cut_stream_raises(anthropic_client, proxy):
    seen = []
    # Of the status class: an event in the stream said so, and not a connection
    # that was dropped.
    with pytest.raises(anthropic.APIStatusError) as raised:
        anthropic_client(proxy).message(stream(headers=script(cut_at=4)), seen)
    assert raised.value.body["type"] == "error"
    assert len("".join(seen)) == 4 * 4


def test_an_error_inside_a_stream_raises(anthropic_client, proxy):
    seen = []
    with pytest.raises(anthropic.APIStatusError):
        anthropic_client(proxy).message(stream(headers=script(error_at=4)), seen)
    assert len("".join(seen)) == 4 * 4


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_a_backend_that_is_down_is_a_server_error(anthropic_client, proxy_to_nowhere, streamed):
    with pytest.raises(anthropic.InternalServerError) as raised:
        anthropic_client(proxy_to_nowhere).answer(message(stream=streamed))
    assert raised.value.status_code in (502, 503)
    assert raised.value.body["type"] == "error"
    assert raised.value.body["error"].keys() >= {"type", "message"}


def test_leaving_a_stream_stops_the_backend(anthropic_client, proxy, mock):
    nothing_is_left_open(mock)
    wasted = mock.stats()["tokens_after_client_left"]
    # Within `max_tokens`, and a minute long.
    headers = script(tokens=1000, token_gap="60ms")
    anthropic_client(proxy).leave(message(headers=headers, stream=True), 5)
    nothing_is_left_open(mock)
    assert mock.stats()["tokens_after_client_left"] == wasted


def test_fifty_at_once_get_their_own_answers(anthropic_client, proxy):
    asks = [message(headers=script(tokens=n)) for n in range(1, 51)]
    answers = anthropic_client(proxy).answers(asks)
    assert [answer.usage.output_tokens for answer in answers] == list(range(1, 51))
    assert [len(answer.content[0].text) for answer in answers] == [4 * n for n in range(1, 51)]


def test_fifty_streams_at_once_get_their_own_tokens(anthropic_client, proxy, mock):
    asks = [
        message(headers=script(tokens=n, token_gap="5ms"), stream=True) for n in range(1, 51)
    ]
    streams = anthropic_client(proxy).streams(asks)
    deltas = [sum(event.type == "content_block_delta" for event in events) for events in streams]
    assert deltas == list(range(1, 51))
    nothing_is_left_open(mock)
