"""A server under measurement: started on its CPUs, watched through /proc, and ended, all by process id."""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import time

import psutil

PYTHON = pathlib.Path(__file__).resolve().parent.parent / ".venv/bin/python"
BUILT = pathlib.Path(
    os.environ.get("CARGO_TARGET_DIR", PYTHON.parents[3] / "target"), "release"
)  # where cargo puts corelane, floor and load
START_SECONDS, STOP_SECONDS = 20, 10


class Missing(Exception):
    """Why a peer cannot take part."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What a server is asked to do. A peer of bench/peers turns it into its command lines."""

    port: int
    site: pathlib.Path | None  # files at /
    app: str | None  # module:attribute, for all else
    apps: pathlib.Path  # the folder of the applications
    lanes: int  # workers
    threads: int | None  # Python threads a lane; None is the server's default, 0 is inline
    scratch: pathlib.Path  # for configuration and process ids
    access_log: bool = False  # whether a line for each answer is written, to a file in scratch


@dataclasses.dataclass(frozen=True)
class Usage:
    """What all processes of a server have used until now: CPU seconds, and of their CPUs the busy ones."""

    cpu: float
    core_busy: float
    clock: float
    pids: frozenset


class Server:
    """One running server: the processes of its commands and all their descendants."""

    def __init__(self, commands, cpus, log):
        self.log, self.cpus, self.roots = log, cpus, []
        for command in commands:
            words = ["taskset", "-c", ",".join(map(str, cpus)), *map(str, command)]
            with open(log, "ab") as output:
                process = subprocess.Popen(
                    words, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
                )
            self.roots.append(process)

    def processes(self):
        """Every process of the server that lives."""
        found = []
        for root in self.roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(root.pid)
                found += [process, *process.children(recursive=True)]
        return found

    def usage(self):
        cpu, pids = 0.0, set()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()  # of this process alone: its threads, dead ones too
                cpu += times.user + times.system
                pids.add(process.pid)
        cores = psutil.cpu_times(percpu=True)
        busy = sum(sum(cores[cpu]) - cores[cpu].idle - cores[cpu].iowait for cpu in self.cpus)
        return Usage(cpu, busy, time.monotonic(), frozenset(pids))

    def pss_bytes(self):
        """Memory, with pages that several processes share divided among them."""
        return sum(process.memory_full_info().pss for process in self.processes())

    def last_words(self):
        """The end of what it wrote, for a server that does not come up."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        return " / ".join([line for line in lines if line][-3:])[-300:]

    def stop(self):
        """TERM to the first processes; KILL, by id, to what is left after a while."""
        everyone = self.processes()
        for root in self.roots:
            root.terminate()
        _, alive = psutil.wait_procs(everyone, timeout=STOP_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for root in self.roots:
            root.wait()
