"""Who asks: wrk where it can make the load, and `load`, the bench's own program, where it cannot.

Both give a `Seen`. Latencies are of the load's side, in milliseconds. wrk is a closed loop: each
connection asks again when it has its answer. `load` with a rate asks at fixed moments and counts from
there, so that a server that pauses does not hide the requests that it made wait.
"""

import contextlib
import dataclasses
import json
import subprocess

from .server import BUILT


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the load saw in one turn."""

    requests: int
    seconds: float
    bytes: int
    bad: int  # answers with a wrong status or body, connections that broke
    p50_ms: float
    p99_ms: float
    max_ms: float


def pinned(cpus):
    return ["taskset", "-c", ",".join(map(str, cpus))]


def run(scenario, port, connections, seconds, cpus, scratch):
    """Asks for `seconds`, and says what came back."""
    if scenario.load == "wrk":
        return wrk(scenario.requests, port, connections, seconds, cpus, scratch)
    return steady(scenario, port, connections, seconds, cpus)


def wrk(requests, port, connections, seconds, cpus, scratch):
    script = scratch / "wrk.lua"
    script.write_text(wrk_script(requests))
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    words += ["-s", script, f"http://127.0.0.1:{port}{requests[0].path}"]
    done = subprocess.run([*pinned(cpus), *words], capture_output=True, text=True, timeout=seconds + 60)
    line = next((line for line in done.stdout.splitlines() if line.startswith("{")), None)
    if line is None:
        raise RuntimeError(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    return Seen(**json.loads(line))


def wrk_script(requests):
    """One request is prepared once, outside of Lua's way; several are taken in turns."""
    lines = []
    for request in requests:
        headers = ", ".join(f"[{name!r}] = {value!r}" for name, value in request.headers.items())
        body = repr(request.body.decode()) if request.body_bytes else "nil"
        lines.append(f"{{{request.method!r}, {request.path!r}, {{{headers}}}, {body}}}")
    if len(requests) == 1:
        text = f"local one = {lines[0]}\nwrk.method, wrk.headers, wrk.body = one[1], one[3], one[4]\n"
    else:
        text = f"""local all, texts, turn = {{{", ".join(lines)}}}, {{}}, 0
function init()
  for i, one in ipairs(all) do texts[i] = wrk.format(one[1], one[2], one[3], one[4]) end
end
function request()
  turn = turn % #texts + 1
  return texts[turn]
end
"""
    return text + WRK_DONE


WRK_DONE = """
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %f, "bytes": %d, "bad": %d, "p50_ms": %f, "p99_ms": %f, "max_ms": %f}',
    summary.requests, summary.duration / 1e6, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
"""


def steady(scenario, port, connections, seconds, cpus):
    words = [BUILT / "load", "steady", f"http://127.0.0.1:{port}{scenario.requests[0].path}"]
    words += ["--connections", connections, "--seconds", seconds, "--pipeline", scenario.pipeline]
    if scenario.requests_per_connection:
        words += ["--requests-per-connection", scenario.requests_per_connection]
    if scenario.rate:
        words += ["--rate", scenario.rate]
    command = [*pinned(cpus), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(f"load: {done.stderr.strip()}")
    told = json.loads(done.stdout)
    latency = {name: told["latency_us"][name] / 1e3 for name in ("p50", "p99", "max")}
    return Seen(
        requests=told["requests"],
        seconds=told["seconds"],
        bytes=told["bytes"],
        bad=told["wrong"] + told["errors"] + told["late"],
        p50_ms=latency["p50"],
        p99_ms=latency["p99"],
        max_ms=latency["max"],
    )


@contextlib.contextmanager
def background(wanted, port, seconds, cpus):
    """A second load beside the measured one; its connections are busy when the block begins."""
    words = [BUILT / "load", "steady", f"http://127.0.0.1:{port}{wanted['path']}"]
    words += ["--connections", wanted["connections"], "--seconds", seconds]
    process = subprocess.Popen([*pinned(cpus), *map(str, words)], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def idle(request, port, connections, cpus):
    """Keeps `connections` open, each after one answered request. Yields how many there are."""
    url = f"http://127.0.0.1:{port}{request.path}"
    words = [BUILT / "load", "idle", url, "--connections", connections]
    command = [*pinned(cpus), *map(str, words)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        told = json.loads(process.stdout.readline() or '{"open": 0, "errors": 0}')
        yield Idle(process, told["open"], told["errors"])
    finally:
        process.kill()
        process.wait()


@dataclasses.dataclass
class Idle:
    """Open connections that say nothing."""

    process: subprocess.Popen
    open: int
    errors: int

    def ask_again(self):
        """One more request on each of them. Returns how many answered."""
        told, _ = self.process.communicate("\n", timeout=120)
        return json.loads(told.splitlines()[-1])["answered"]
