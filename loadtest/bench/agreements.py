"""What each side agrees on under TLS: figures count only at the same work."""

from bench import load
from bench.certificates import AGREED
from bench.process import Failure

_BODY = b'{"model":"mock","messages":[{"role":"user","content":"hello"}]}'


def check(sides):
    """All proxies agree on the same with their clients, and with the backend
    where it is asked over TLS. The backend itself is asked through them."""
    for side, proxy in sides.items():
        with_clients = proxy.tls.agreed(proxy.address)
        _same(side, "clients", with_clients)
        words = f"{side} with clients: {with_clients}"
        if proxy.tls.to_backend:
            answer, _ = load.one_answer(proxy, _BODY, **{"X-Agreed": "?"})
            _same(side, "the backend", answer.decode())
            words += f"; with the backend: {answer.decode()}"
        print(f"  {words}", flush=True)


def _same(side, other, agreed):
    if agreed != AGREED:
        raise Failure(f"{side} and {other} agreed on {agreed}, not on {AGREED}")
