"""What we forward is seen by four foreign receivers as the one request that we
meant, or we refused it."""

import re

import pytest

from adversary_metrics import Metrics
from differential_capture import HASTE, Capture
from differential_corpus import corpus
from differential_peers import Peers, description
from servers import Server

# As many as are shown; a broken parser would fail by the thousand.
SHOWN_MAX = 20
PEERS = ["nginx", "haproxy", "node", "h11"]
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
TWO_CONDITIONS = re.compile(rb"\r\nIf-Match:.*\r\nIf-Match:", re.DOTALL | re.IGNORECASE)


def own_method(forwarded):
    return forwarded.seen[0] not in METHODS


def nginx_may_refuse(forwarded):
    method, target, _ = forwarded.seen
    is_odd = target == "*" or BAD_ESCAPE.search(target) or TWO_CONDITIONS.search(forwarded.data)
    return is_odd or own_method(forwarded)


# Of these a peer may say that it takes none. Nothing else excuses one.
MAY_REFUSE = {
    "nginx": nginx_may_refuse,
    "haproxy": own_method,
    "node": own_method,
    "h11": lambda forwarded: False,
}


class Run:
    """The whole corpus, sent once."""

    def __init__(self, folder):
        self.cases = list(corpus())
        capture = Capture()
        admin = folder / "admin"
        backend = f"http://127.0.0.1:{capture.port}"
        proxy = Server("serve", "--backend", backend, "--cores", "0", "--admin", f"unix:{admin}", *HASTE)
        metrics = Metrics(admin)
        try:
            self.outcomes = capture.run(self.cases, proxy.port)
            self.unattributed = capture.unattributed
            # Whatever was sent, nothing of it stays behind.
            metrics.come_to_rest()
        finally:
            metrics.close()
            proxy.stop()
            capture.close()

    def unique_forwarded(self):
        """One of each kind: ids and addresses make no difference."""
        kinds = {}
        for outcome in self.outcomes:
            for forwarded in outcome.forwarded:
                kinds.setdefault(OWN_FIELDS.sub(b"", forwarded.data), forwarded)
        return list(kinds.values())


OWN_FIELDS = re.compile(rb"(?<=\r\n)x-(?:request-id|forwarded-for): [^\r\n]*\r\n")
REQUEST_ID = re.compile(rb"\r\nx-request-id: ([^\r\n]*)\r\n")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("differential"))


@pytest.fixture(scope="module")
def peers():
    peers = Peers()
    yield peers
    peers.stop()


def check(faults):
    assert not faults, f"{len(faults)} faults, such as\n" + "\n".join(faults[:SHOWN_MAX])


def test_each_input_is_forwarded_as_it_may_be_or_refused(run):
    check([
        f"{case.name}: {case.data[:300]} became {told} and was answered {outcome.statuses}"
        for case, outcome in zip(run.cases, run.outcomes)
        if not case.permits(told := tuple(forwarded.seen for forwarded in outcome.forwarded))
        or outcome.hung
    ])  # fmt: skip


def test_each_forwarded_request_is_answered_and_each_refusal_closes(run):
    check([
        f"{case.name}: {case.data[:300]} was answered {outcome.statuses}"
        for case, outcome in zip(run.cases, run.outcomes)
        if not case.ends and not answers_fit(outcome)
    ])  # fmt: skip


def answers_fit(outcome):
    """200 for each that was forwarded, then one fault at most."""
    final = [status for status in outcome.statuses if status != 100]
    good = len(outcome.forwarded)
    return final[:good] == good * [200] and len(final) <= good + 1 and all(s >= 400 for s in final[good:])


def test_nothing_is_forwarded_but_in_the_one_form(run):
    assert not run.unattributed
    check([
        f"{forwarded.fault}: {forwarded.data[:300]}"
        for outcome in run.outcomes
        for forwarded in outcome.forwarded
        if forwarded.fault
    ])  # fmt: skip


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_sees_the_one_request_that_was_meant(run, peers, name):
    forwarded = run.unique_forwarded()
    assert len(forwarded) > 1000, "the corpus has arrived"
    doubtful = [one for one in forwarded if MAY_REFUSE[name](one)]
    clear = [one for one in forwarded if not MAY_REFUSE[name](one)]
    seen = peers.ask(name, [one.data for one in clear])
    check([
        f"{one.data[:300]} was seen as {saw}"
        for one, saw in zip(clear, seen)
        if saw != meant(one)
    ])  # fmt: skip
    # Each on a connection of its own: a refusal would take others along.
    seen = [peers.ask(name, [one.data])[0] for one in doubtful]
    check([
        f"{one.data[:300]} was seen as {saw}"
        for one, saw in zip(doubtful, seen)
        if saw != meant(one) and not saw.startswith("refused 4")
    ])  # fmt: skip


def meant(forwarded):
    request_id = REQUEST_ID.search(forwarded.data)[1].decode()
    return description(*forwarded.seen, request_id)
