"""What the rows stand on: a mock, a proxy before it, and the official clients."""

import socket

import anthropic
import openai
import pytest

from clients import AsyncClient, SyncClient
from servers import Mock, Server

# A fault is to be seen, not retried away; and nothing here takes long.
OPTIONS = {"api_key": "sk-row", "max_retries": 0, "timeout": 20}


@pytest.fixture(autouse=True, scope="session")
def straight_to_loopback():
    """Whatever proxy the machine prescribes, it is not for loopback."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("NO_PROXY", "no_proxy"):
            environment.setenv(name, "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def mock():
    server = Mock()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def proxy(mock):
    server = Server("serve", "--backend", mock.url)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def proxy_to_nowhere():
    """A proxy whose backend refuses every connection."""
    # Bound and never listening: the kernel refuses, and gives it to no other.
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        server = Server("serve", "--backend", f"http://127.0.0.1:{reserved.getsockname()[1]}")
        yield server
        server.stop()


@pytest.fixture(params=["sync", "async"])
def openai_client(request):
    """Makes OpenAI's client for a server, with options on top."""
    make, door = {
        "sync": (openai.OpenAI, SyncClient),
        "async": (openai.AsyncOpenAI, AsyncClient),
    }[request.param]
    return lambda server, **options: door(
        lambda: make(base_url=f"{server.url}/v1", **(OPTIONS | options))
    )


@pytest.fixture(params=["sync", "async"])
def anthropic_client(request):
    """Makes Anthropic's client for a server, with options on top."""
    make, door = {
        "sync": (anthropic.Anthropic, SyncClient),
        "async": (anthropic.AsyncAnthropic, AsyncClient),
    }[request.param]
    return lambda server, **options: door(lambda: make(base_url=server.url, **(OPTIONS | options)))
