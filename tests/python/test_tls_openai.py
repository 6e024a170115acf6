"""OpenAI's own client over https: every row that it has in plain, and those
that matter over two hops of TLS."""

import pytest
import test_openai
from test_openai import *  # noqa: F403 the rows


@pytest.fixture
def proxy(tls_proxy):
    return tls_proxy


@pytest.fixture
def proxy_to_nowhere(tls_proxy_to_nowhere):
    return tls_proxy_to_nowhere


OVER_TWO_HOPS = [
    test_openai.test_a_plain_answer_is_whole,
    test_openai.test_a_stream_brings_every_token,
    test_openai.test_tokens_arrive_as_they_are_made,
    test_openai.test_an_image_of_five_megabytes_passes,
    test_openai.test_fifty_at_once_get_their_own_answers,
]


@pytest.mark.parametrize("row", OVER_TWO_HOPS, ids=lambda row: row.__name__.removeprefix("test_"))
def test_over_two_hops(openai_client, tls_all_the_way, row):
    row(openai_client, tls_all_the_way)


def test_streams_over_two_hops(openai_client, tls_all_the_way, mock):
    test_openai.test_fifty_streams_at_once_get_their_own_tokens(openai_client, tls_all_the_way, mock)


def test_leaving_over_two_hops(openai_client, tls_all_the_way, mock):
    test_openai.test_leaving_a_stream_stops_the_backend(openai_client, tls_all_the_way, mock)


def test_a_client_that_does_not_trust_us_is_told_so(openai_client, tls_proxy, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(openai.APIConnectionError):  # noqa: F405
        openai_client(tls_proxy).answer(test_openai.chat())
