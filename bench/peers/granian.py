"""granian's WSGI mode: Rust, hyper and PyO3.

Fair: HTTP/1 only and no WebSockets (less to look at), one runtime thread a worker as by default, one
blocking thread (its own benchmarks' setting; measured here better than its default of 512) unless the
scenario asks for threads, no access log (the default), room for all connections that are asked for.
"""

import importlib.metadata

from measure.server import PYTHON, Missing


def version():
    try:
        return importlib.metadata.version("granian")
    except importlib.metadata.PackageNotFoundError:
        raise Missing("no granian in bench/.venv") from None


def commands(job):
    version()
    words = [PYTHON.parent / "granian", "--interface", "wsgi", "--http", "1", "--no-ws"]
    words += ["--host", "127.0.0.1", "--port", job.port, "--workers", job.lanes, "--log-level", "error"]
    words += ["--blocking-threads", job.threads or 1, "--backlog", "16384", "--backpressure", "16384"]
    return [[*words, "--working-dir", job.apps, job.app]]
