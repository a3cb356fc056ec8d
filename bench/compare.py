#!/usr/bin/env python3
"""Measures corelane beside its peers on this machine, and writes what it saw to bench/runs/.

Usage: bench/compare.py [--seconds S] [--rounds R] [--only TEXT]

Each server runs alone on CPU 0, one after the other in turns (A B A B ...); the load (wrk) runs on
CPU 1. What counts is the CPU time of all of a server's processes for each request, read from /proc
before and after: requests a second depend on the load generator, CPU time hardly. The first bytes of
an answer are compared with what they must be before and after each turn; a wrong answer voids the row.

Needs nginx and wrk (Debian packages), a release build, and bench/.venv with the packages of
bench/requirements.txt; a peer that is missing is named as missing.
"""

import argparse
import csv
import datetime
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

BENCH = pathlib.Path(__file__).resolve().parent
PYTHON = BENCH / ".venv/bin/python"
CORELANE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", BENCH.parent / "target")) / "release/corelane"
SERVER_CPU, LOAD_CPU = "0", "1"
PORT = 8300
HELLO = b"Hello, world!"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=int, default=3)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", default="", help="scenarios whose name holds this text")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = make_site(pathlib.Path(folder))
        rows = []
        for name, path, connections, expected, servers in scenarios(site):
            if options.only in name:
                rows += compare(name, path, connections, expected, servers, options)
    write(rows, options)


def make_site(folder):
    """Files of three sizes, readable by nginx's workers."""
    folder.chmod(0o755)
    for name, size in [("13", 13), ("100k", 100 * 1024), ("10m", 10 * 1024 * 1024)]:
        (folder / name).write_bytes(bytes(i * 7 % 251 for i in range(251)) * (size // 251) + HELLO * 20)
        os.truncate(folder / name, size)
    return folder


def scenarios(site):
    """Name, path, connections, the answer's body, and the servers: corelane first, then its peers."""
    corelane = [CORELANE, "-w", "1", "-b", f"127.0.0.1:{PORT}"]
    files = {"corelane": [*corelane, "--static", f"/={site}"], "nginx": nginx(site)}
    for name, connections in [("13", 64), ("100k", 64), ("10m", 8)]:
        body = (site / name).read_bytes()
        yield f"file of {name} bytes", f"/{name}", connections, body, files
    apps = ["--venv", BENCH / ".venv", "--chdir", BENCH / "apps"]
    for name, target in [("WSGI hello", "hello"), ("Flask hello", "flask_hello")]:
        peers = {"bjoern": python("bjoern", target), "fastpysgi": python("fastpysgi", target)}
        if target == "flask_hello":
            peers["gunicorn gthread"] = [
                *[PYTHON, "-m", "gunicorn", "-k", "gthread", "--threads", "8", "--keep-alive", "60"],
                *["--chdir", BENCH / "apps", "-b", f"127.0.0.1:{PORT}", f"{target}:app"],
            ]
        for way, flags in [("", []), (", inline", ["--threads", "0"])]:
            servers = {"corelane": [*corelane, *apps, *flags, f"{target}:app"], **peers}
            yield f"{name}{way}", "/", 64, HELLO, servers


def nginx(site):
    """Fair: sendfile, open_file_cache, no access log, one worker, keep-alive without an end."""
    text = f"""
daemon off; worker_processes 1; pid {site}/nginx.pid; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{
  sendfile on; tcp_nopush on; tcp_nodelay on; access_log off; keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=60s; open_file_cache_valid 30s; default_type text/plain;
  server {{ listen 127.0.0.1:{PORT}; root {site}; }}
}}"""
    (site / "nginx.conf").write_text(text)
    return [shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-c", site / "nginx.conf"]


def python(server, target):
    return [PYTHON, BENCH / "apps" / f"serve_{server}.py", target, str(PORT)]


def compare(name, path, connections, expected, servers, options):
    """One row for each turn of each server."""
    rows = []
    for turn in range(options.rounds):
        for server, command in servers.items():
            row = {"scenario": name, "server": server, "turn": turn}
            row |= measure(command, path, connections, expected, options.seconds)
            print(f"{name:24} {server:18} {row.get('cpu_us', '')!s:>9} us  {row['note']}", flush=True)
            rows.append(row)
    return rows


def measure(command, path, connections, expected, seconds):
    if not command[0] or not os.path.exists(command[0]):
        return {"note": "missing"}
    words = ["taskset", "-c", SERVER_CPU, *map(str, command)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{PORT}{path}"
    try:
        if not is_right(url, expected, patience=10):
            return {"note": "missing, or a wrong answer"}
        before, start = cpu_seconds(process.pid), time.monotonic()
        load = ["taskset", "-c", LOAD_CPU, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
        output = subprocess.run(load, capture_output=True, text=True).stdout
        used, lasted = cpu_seconds(process.pid) - before, time.monotonic() - start
        requests = next(int(line.split()[0]) for line in output.splitlines() if "requests in" in line)
        good = is_right(url, expected, patience=2) and "Non-2xx" not in output
        busy = used / lasted
        return {
            "note": ("" if busy > 0.9 else f"server {busy:.0%} busy") if good else "wrong answer: void",
            "cpu_us": round(used / requests * 1e6, 2) if good else "",
            "rps": round(requests / lasted),
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def is_right(url, expected, patience):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read() == expected
        except OSError:
            time.sleep(0.05)
    return False


def cpu_seconds(pid):
    """User and system time of a process and its children that live, from proc(5)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return ticks / os.sysconf("SC_CLK_TCK") + sum(cpu_seconds(child) for child in children)


def write(rows, options):
    date = datetime.date.today().isoformat()
    folder = BENCH / "runs" / f"{date}-{platform.release()}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "raw.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ["scenario", "server", "turn", "cpu_us", "rps", "note"])
        table.writeheader()
        table.writerows(rows)
    text = summary(rows, options)
    (folder / "summary.md").write_text(text)
    print(f"\n{text}\nWritten to {folder}")


def summary(rows, options):
    lines = [
        f"One core for the server, one for wrk; {options.rounds} turns of {options.seconds} s each; Linux "
        f"{platform.release()}, {os.cpu_count()} CPUs. Median of CPU microseconds a request; the ratio "
        "is the median over the turns, with its least and greatest.",
        "",
        "| work | corelane | peer | peer's | ratio |",
        "|---|---|---|---|---|",
    ]
    for scenario in dict.fromkeys(row["scenario"] for row in rows):
        own = costs(rows, scenario, "corelane")
        for server in dict.fromkeys(row["server"] for row in rows if row["scenario"] == scenario):
            if server == "corelane":
                continue
            peer = costs(rows, scenario, server)
            if not own or len(peer) != len(own):
                lines.append(f"| {scenario} | | {server} | missing or void | |")
                continue
            ratios = sorted(a / b for a, b in zip(own, peer))
            lines.append(
                f"| {scenario} | {statistics.median(own):.1f} | {server} | {statistics.median(peer):.1f} | "
                f"**{statistics.median(ratios):.2f}** ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
            )
    return "\n".join(lines) + "\n"


def costs(rows, scenario, server):
    chosen = [row for row in rows if (row["scenario"], row["server"]) == (scenario, server)]
    return [row["cpu_us"] for row in chosen if row.get("cpu_us")]


if __name__ == "__main__":
    sys.exit(main())
