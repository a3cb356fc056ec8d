"""Turns: corelane, its peer, corelane, its peer. Each turn is one row of raw data.

A round starts both servers anew, so that the luck of one process (where its memory came to lie) is not
the luck of a whole comparison; after a second of load that is not counted, both take their turns, one
right after the other, on the same CPU. A turn is: the sample of answers is right; the load; the sample
is right again. A wrong answer voids the row, and says why.
"""

import contextlib
import dataclasses
import pathlib
import resource
import socket
import subprocess
import tempfile
import time

import psutil

import peers

from . import answer, load
from .server import START_SECONDS, Job, Missing, Server
from .work import APPS

BUSY = 0.9  # of its CPU; a server with more to spare could have answered more
WARM_SECONDS = 1
MEMORY_SECONDS = 1
DESCRIPTORS_SPARE = 500


@dataclasses.dataclass
class Row:
    """One turn of one server. Empty values were not measured; a row with `void` counts for nothing."""

    scenario: str
    peer: str  # whom corelane is compared with in this pair
    server: str  # whose turn it was: corelane or the peer
    at: int  # connections, or lanes where these vary
    turn: int
    requests: int | None = None
    seconds: float | None = None
    requests_per_second: float | None = None
    bytes_per_second: float | None = None
    cpu_us: float | None = None  # user and system time of all processes for each request
    wall_us: float | None = None
    server_busy: float | None = None  # of its CPUs, 1.0 is all of all of them
    core_busy: float | None = None  # the same with what else ran there: interrupts, the load
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    pss_mib: float | None = None
    connection_bytes: float | None = None
    note: str = ""
    void: str = ""


@dataclasses.dataclass(frozen=True)
class Bench:
    """What is the same for all turns of a run."""

    work: object
    scratch: object
    seconds: int
    turns: int  # of each server in a round
    cpus: tuple  # those that this process may use

    def server_cpus(self, lanes):
        """The first ones; more than one lane may need all of them, and the load then shares."""
        return self.cpus[: max(1, min(lanes, len(self.cpus)))]

    def load_cpus(self, lanes):
        return self.cpus[lanes:] or self.cpus[-1:]


@dataclasses.dataclass(frozen=True)
class Side:
    """A server in its turns: running, or why it is not."""

    name: str
    server: Server | None = None
    job: Job | None = None
    why: str = ""


def play(bench, scenario, peer, lanes, round_number):
    """One round of corelane and one peer. Yields a row for each turn: A B A B, for each load."""
    with contextlib.ExitStack() as stack:
        sides = []
        for name in ("corelane", peer):
            try:
                sides.append(stack.enter_context(started(bench, scenario, name, lanes)))
            except (Missing, answer.Wrong) as why:
                sides.append(Side(name, why=str(why)))
        for connections in scenario.connections:
            for side in sides:
                warm(bench, scenario, side, connections)
            # What a server keeps after its first turn would not be counted again in a second one.
            turns = 1 if scenario.load in ("idle", "memory") else bench.turns
            for turn_number in range(turns):
                for side in sides:
                    at = lanes if len(scenario.lanes) > 1 else connections
                    number = round_number * turns + turn_number
                    row = Row(scenario.name, peer, side.name, at, number, void=side.why)
                    if side.server:
                        take_turn(bench, scenario, side, connections, row)
                    yield row


@contextlib.contextmanager
def started(bench, scenario, name, lanes):
    """A server that answers rightly, until the block ends."""
    apps = [target for target in scenario.serves if target != "site"]
    job = Job(
        port=free_port(),
        site=bench.work.site if "site" in scenario.serves else None,
        app=apps[0] if apps else None,
        apps=APPS,
        lanes=lanes,
        threads=scenario.threads,
        access_log=scenario.access_log,
        scratch=pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=bench.scratch)),
    )
    job.scratch.chmod(0o755)  # nginx's worker is another user
    server = Server(peers.find(name).commands(job), bench.server_cpus(lanes), job.scratch / "log")
    try:
        try:
            answer.wait_until_ready(job.port, scenario.requests, bench.work, job.app, START_SECONDS)
        except answer.Wrong as wrong:
            raise answer.Wrong(f"{wrong}; {server.last_words()}") from None
        yield Side(name, server, job)
    finally:
        server.stop()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def warm(bench, scenario, side, connections):
    """Load that is not counted. What goes wrong here goes wrong in the turn, too, and is told there."""
    if side.server and scenario.load in ("wrk", "steady"):
        cpus = bench.load_cpus(side.job.lanes)
        with contextlib.suppress(*FAULTS):
            load.run(scenario, side.job.port, connections, WARM_SECONDS, cpus, side.job.scratch)


# What a server can do to its turn: answer wrongly, hang, end. The others go on.
FAULTS = (answer.Wrong, RuntimeError, ValueError, psutil.Error, subprocess.SubprocessError)


def take_turn(bench, scenario, side, connections, row):
    """Fills in the row, or says why it is void."""
    turn = {"idle": turn_idle, "memory": turn_memory}.get(scenario.load, turn_loaded)
    try:
        size = answer.check(side.job.port, scenario.requests, bench.work, side.job.app)
        turn(bench, scenario, side, connections, size, row)
        answer.check(side.job.port, scenario.requests, bench.work, side.job.app)
    except FAULTS as why:
        row.void = row.void or f"{type(why).__name__}: {why}"


def turn_loaded(bench, scenario, side, connections, size, row):
    server, job = side.server, side.job
    cpus = bench.load_cpus(job.lanes)
    with background(bench, scenario, side):
        before = server.usage()
        seen = load.run(scenario, job.port, connections, bench.seconds, cpus, job.scratch)
        after = server.usage()
        row.pss_mib = server.pss_bytes() / 2**20
    fill(row, seen, before, after, len(server.cpus))
    row.void = what_was_wrong(seen, before, after, size, connections)
    if not row.void and scenario.saturates and row.server_busy < BUSY:
        row.note = f"load was the limit: server {row.server_busy:.0%} busy"


def background(bench, scenario, side):
    """The second load, where the scenario has one and the server is to bear it."""
    if not scenario.background or not getattr(peers.find(side.name), "BACKGROUND", True):
        return contextlib.nullcontext()
    cpus = bench.load_cpus(side.job.lanes)
    return load.background(scenario.background, side.job.port, bench.seconds + 30, cpus)


def fill(row, seen, before, after, cores):
    lasted = after.clock - before.clock
    row.requests, row.seconds = seen.requests, seen.seconds
    row.requests_per_second = seen.requests / seen.seconds
    row.bytes_per_second = seen.bytes / seen.seconds
    row.cpu_us = (after.cpu - before.cpu) / max(seen.requests, 1) * 1e6
    row.wall_us = 1e6 / row.requests_per_second if seen.requests else None
    row.server_busy = (after.cpu - before.cpu) / lasted / cores
    row.core_busy = (after.core_busy - before.core_busy) / lasted / cores
    row.p50_ms, row.p99_ms, row.max_ms = seen.p50_ms, seen.p99_ms, seen.max_ms


def what_was_wrong(seen, before, after, size, connections):
    """Why the turn is void; empty where it is not."""
    if seen.requests == 0:
        return "no answer"
    if seen.bad:
        return f"{seen.bad} wrong or broken answers"
    if before.pids != after.pids:
        return "a process of the server began or ended in the middle"
    # What the load read is what that many right answers have, give or take those in flight at the end.
    if abs(seen.bytes - seen.requests * size) > 0.01 * seen.requests * size + connections * size:
        return f"{seen.bytes / seen.requests:.0f} bytes an answer, not {size:.0f}"
    return ""


def turn_idle(bench, scenario, side, connections, _size, row):
    """Memory of connections that were used once and are kept."""
    server, job = side.server, side.job
    wanted = min(connections, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - DESCRIPTORS_SPARE)
    before = server.pss_bytes()
    with load.idle(scenario.requests[0], job.port, wanted, bench.load_cpus(job.lanes)) as idle:
        time.sleep(1)  # what a server gives back soon is given back
        pss = server.pss_bytes()
        row.connection_bytes, row.pss_mib = (pss - before) / max(idle.open, 1), pss / 2**20
        row.requests = idle.open
        answered = idle.ask_again()
    if idle.errors or answered != idle.open:
        row.void = f"{idle.open} of {wanted} opened, {answered} answered again"
    if wanted != connections:
        row.note = f"{wanted} connections: the limit of open files"


def turn_memory(bench, scenario, side, connections, _size, row):
    """Memory of all processes after a second of work for all of them."""
    server, job = side.server, side.job
    seen = load.wrk(scenario.requests, job.port, connections, MEMORY_SECONDS, bench.cpus, job.scratch)
    row.requests, row.pss_mib = seen.requests, server.pss_bytes() / 2**20
    if seen.bad or not seen.requests:
        row.void = f"{seen.bad} of {seen.requests} answers wrong"
