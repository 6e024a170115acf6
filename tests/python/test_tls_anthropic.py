"""Anthropic's own client over https: every row that it has in plain, and those
that matter over two hops of TLS."""

import pytest
import test_anthropic
from test_anthropic import *  # noqa: F403 the rows


@pytest.fixture
def proxy(tls_proxy):
    return tls_proxy


@pytest.fixture
def proxy_to_nowhere(tls_proxy_to_nowhere):
    return tls_proxy_to_nowhere


OVER_TWO_HOPS = [
    test_anthropic.test_a_plain_answer_is_whole,
    test_anthropic.test_a_stream_brings_every_token,
    test_anthropic.test_events_come_in_order,
    test_anthropic.test_fifty_at_once_get_their_own_answers,
]


@pytest.mark.parametrize("row", OVER_TWO_HOPS, ids=lambda row: row.__name__.removeprefix("test_"))
def test_over_two_hops(anthropic_client, tls_all_the_way, row):
    row(anthropic_client, tls_all_the_way)


def test_leaving_over_two_hops(anthropic_client, tls_all_the_way, mock):
    test_anthropic.test_leaving_a_stream_stops_the_backend(anthropic_client, tls_all_the_way, mock)
