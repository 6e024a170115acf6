"""Processes that a run starts, pins, measures and ends.

Only what was started here is ever signalled, by its own process group.
"""

import os
import resource
import shlex
import signal
import socket
import subprocess
import time

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
OPEN_FILES_WISHED = 65536  # 10,000 idle clients, and as many again to the backend
START_SECONDS_MAX = 10
STOP_SECONDS_MAX = 5


class Failure(Exception):
    """The run cannot go on, or its figures would be wrong; says why."""


def free_address():
    """A loopback address nobody listens on. Chosen at run time, never fixed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


def open_files_limit():
    """How many descriptors a child may have: what we wish for, or what is allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES_WISHED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WISHED)


def prepare_child(core, niceness=0):
    """Runs in the child before exec: pins it and lets it open many sockets."""

    def prepare():
        os.sched_setaffinity(0, {core})
        os.nice(niceness)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files_limit(), hard))

    return prepare


class Process:
    """A running server, with what it has cost so far. Use it as a context."""

    def __init__(self, name, command, core, address, log_path):
        self.name = name
        self.address = address
        self.admin = None  # where its metrics are, if it has any
        self.tls = None  # certificates.Tls, where clients come over TLS
        self.log_path = log_path
        words = shlex.split(command) if isinstance(command, str) else command
        with open(log_path, "wb") as log:
            try:
                self._child = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                    start_new_session=True, preexec_fn=prepare_child(core))
            except OSError as error:
                raise Failure(f"cannot start {name} ({words[0]}): {error}") from error
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _wait_until_it_listens(self):
        host, port = self.address.rsplit(":", 1)
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                break
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"{self.name} does not listen on {self.address}; it said:\n{self.log()}")

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()[-2000:]

    def stop(self):
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGTERM)
            try:
                self._child.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(self._child.pid, signal.SIGKILL)
                self._child.wait()

    def kill(self):
        """At once and without a word, as a machine that fails."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def must_run(self):
        if self._child.poll() is not None:
            raise Failure(f"{self.name} ended during the run; it said:\n{self.log()}")

    def processes(self):
        """The process and its descendants: nginx works in a child of its own."""
        found, queue = [], [self._child.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as children:
                    queue += [int(child) for child in children.read().split()]
            except OSError:
                pass  # it ended between two looks
        return found

    def cpu_seconds(self):
        """User and kernel time of all its processes, with their ended children."""
        self.must_run()
        return sum(_cpu_ticks(pid) for pid in self.processes()) / CLOCK_TICKS

    def run_seconds(self):
        """Time that its living threads have run, finer than the ticks of
        `cpu_seconds`: for a server that hardly does anything."""
        self.must_run()
        return sum(_run_nanoseconds(pid) for pid in self.processes()) / 1e9

    def resident_bytes(self):
        self.must_run()
        return sum(_resident_pages(pid) for pid in self.processes()) * PAGE_BYTES

    def restrict(self, core):
        """Fails unless every thread may run on that core alone."""
        for pid in self.processes():
            for thread in os.listdir(f"/proc/{pid}/task"):
                if os.sched_getaffinity(int(thread)) != {core}:
                    raise Failure(f"{self.name} left core {core}; pin it (for ours: --cores {core})")


class Meter:
    """What a proxy cost while the body ran, and what others took of its core."""

    def __init__(self, proxy, core):
        self._proxy, self._core = proxy, core

    def __enter__(self):
        self._cpu, self._busy = self._proxy.cpu_seconds(), _core_busy_seconds(self._core)
        self._started = time.monotonic()
        return self

    def __exit__(self, *_):
        self.cpu_seconds = self._proxy.cpu_seconds() - self._cpu
        self.seconds = time.monotonic() - self._started
        busy = _core_busy_seconds(self._core) - self._busy
        # Both are sampled in ticks, so the difference may be below nothing.
        self.others_share = max(0.0, busy - self.cpu_seconds) / self.seconds


def _core_busy_seconds(core):
    with open("/proc/stat") as stat:
        line = next(line for line in stat if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / CLOCK_TICKS


def _cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        # The name in brackets may hold blanks; fields are counted after it.
        fields = stat.read().rpartition(")")[2].split()
    utime, stime, children_utime, children_stime = (int(field) for field in fields[11:15])
    return utime + stime + children_utime + children_stime


def _run_nanoseconds(pid):
    nanoseconds = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as schedstat:
            nanoseconds += int(schedstat.read().split()[0])
    return nanoseconds


def _resident_pages(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1])
