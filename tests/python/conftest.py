"""What the rows stand on: a mock, proxies before it, and the official clients."""

import socket

import anthropic
import openai
import pytest

from clients import AsyncClient, SyncClient
from servers import Mock, Server, TlsServer
from tls_authority import Authority
from tls_peers import Nginx

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
def nowhere():
    """A backend that refuses every connection."""
    # Bound and never listening: the kernel refuses, and gives it to no other.
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture(scope="session")
def proxy_to_nowhere(nowhere):
    server = Server("serve", "--backend", f"http://{nowhere}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Whom every client trusts that is told of no other."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(authority.file))
        yield authority


@pytest.fixture(scope="session")
def pair(authority):
    """What a server on loopback shows."""
    return authority.pair("loopback", "127.0.0.1", "localhost")


@pytest.fixture(scope="session")
def tls_proxy(mock, pair):
    server = TlsServer("serve", "--backend", mock.url, *pair.flags)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tls_proxy_to_nowhere(nowhere, pair, authority):
    server = TlsServer(
        "serve", "--backend", f"https://{nowhere}", "--backend-ca", authority.file, *pair.flags
    )
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nginx(mock, pair):
    """nginx, which speaks TLS before the mock."""
    nginx = Nginx(mock, pair)
    yield nginx
    nginx.stop()


@pytest.fixture(scope="session")
def tls_all_the_way(nginx, pair, authority):
    """A proxy that speaks TLS to both sides."""
    server = TlsServer(
        "serve", "--backend", nginx.url, "--backend-ca", authority.file, *pair.flags
    )
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
