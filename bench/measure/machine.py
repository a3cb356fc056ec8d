"""What a run was made on: kernel, processor, versions of everybody. Names no person and no host."""

import datetime
import json
import os
import pathlib
import platform
import subprocess

import psutil

import peers

from .server import PYTHON, Missing

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def describe(chosen, bench, rounds):
    names = ["corelane", *dict.fromkeys(peer for one in chosen for peer in one.peers)]
    return {
        "date": datetime.date.today().isoformat(),
        "kernel": platform.release(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": first_line([PYTHON, "--version"]).split()[-1],
        "wrk": first_line(["wrk", "-v"]).split(" [")[0],
        "commit": first_line(["git", "-C", REPOSITORY, "describe", "--always", "--dirty"]),
        "seconds": bench.seconds,
        "turns": bench.turns * rounds,
        "rounds": rounds,
        "versions": {name: version(name) for name in names},
    }


def version(name):
    try:
        return peers.find(name).version()
    except (Missing, ModuleNotFoundError, OSError, IndexError) as why:
        return f"missing: {why}"


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return "missing"
    return (done.stdout or done.stderr).strip().splitlines()[0] if done.stdout or done.stderr else "unknown"


def write(seen, folder):
    (folder / "machine.json").write_text(json.dumps(seen, indent=2) + "\n")


def read(folder):
    return json.loads((folder / "machine.json").read_text())
