"""A proxy and a backend for each file of rows, and what holds after each row."""

import pytest

from adversary_metrics import Metrics, open_files, resident_bytes
from adversary_world import Backend, Proxy, exchange, get
from servers import wait_until

# What rows may leave behind in pools and in the allocator: a chunked body at
# the limit of 32 MiB, which doubles as it grows, leaves a hundred.
RESIDENT_BYTES_MAX = 160 << 20


@pytest.fixture(scope="module")
def backend():
    backend = Backend()
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def admin(tmp_path_factory):
    return tmp_path_factory.mktemp("adversary") / "admin"


@pytest.fixture(scope="module")
def proxy(backend, admin):
    proxy = Proxy(backend, admin)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def files_at_rest(proxy, admin):
    """Open files when the proxy has served and all is over."""
    metrics = Metrics(admin)
    assert exchange(proxy, get("/ok")).body == b"ok"
    figures = metrics.come_to_rest()
    wait_until(lambda: metrics.read()["tokenring_backend_connections_idle"] == 0, "the pool is empty")
    files = open_files(proxy.pid)
    metrics.close()
    return files - figures["tokenring_connections_open"]


@pytest.fixture(autouse=True)
def leaves_nothing_behind(proxy, admin, files_at_rest):
    """After every row: alive, at rest, small, and still of use."""
    yield
    assert proxy.runs
    metrics = Metrics(admin)
    answer = exchange(proxy, get("/ok"))
    assert (answer.status, answer.body) == (200, b"ok")
    metrics.come_to_rest()
    metrics.close()
    wait_until(lambda: open_files(proxy.pid) <= files_at_rest, "the files are closed")
    assert resident_bytes(proxy.pid) < RESIDENT_BYTES_MAX
