"""uWSGI speaking HTTP itself, with keep-alive.

Fair: --http11-socket is its only way to keep connections without its router process in between; a master
and one worker process for each lane with 8 threads (or as many as the scenario asks for), no request log,
a listen queue as long as the kernel allows. Each thread stays with one connection until that is closed:
of 64 busy connections 8 are served and the others wait (uWSGI issue 2038), which flatters its cost for each
request and shows in its greatest latency.
"""

import importlib.metadata
import pathlib

from measure.server import PYTHON, Missing


def version():
    try:
        return importlib.metadata.version("uWSGI")
    except importlib.metadata.PackageNotFoundError:
        raise Missing("no uWSGI in bench/.venv: it needs a C compiler") from None


def commands(job):
    version()
    module, attribute = job.app.split(":")
    longest = min(4096, int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text()))
    words = [PYTHON.parent / "uwsgi", "--http11-socket", f"127.0.0.1:{job.port}", "--master"]
    words += ["--processes", job.lanes, "--threads", job.threads or 8, "--listen", longest]
    words += ["--disable-logging", "--die-on-term", "--need-app", "--virtualenv", PYTHON.parents[1]]
    return [[*words, "--chdir", job.apps, "--module", module, "--callable", attribute]]
