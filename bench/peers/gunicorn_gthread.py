"""gunicorn with its threaded worker, the one that its documentation recommends for keep-alive.

Fair: one process for each lane, 8 threads (corelane's default too) or as many as the scenario asks for,
keep-alive longer than the run (the default of 2 seconds would not matter under load), more connections
than are asked for (the default refuses above 1000), no access log (the default).
"""

import importlib.metadata

from measure.server import PYTHON, Missing


def version():
    try:
        return importlib.metadata.version("gunicorn")
    except importlib.metadata.PackageNotFoundError:
        raise Missing("no gunicorn in bench/.venv") from None


def commands(job):
    return [start(job, f"127.0.0.1:{job.port}")]


def start(job, bind):
    version()
    words = [PYTHON, "-m", "gunicorn", "--worker-class", "gthread", "--workers", job.lanes]
    words += ["--threads", job.threads or 8, "--keep-alive", "60", "--worker-connections", "18000"]
    words += ["--backlog", "4096", "--log-level", "error", "--chdir", job.apps, "--bind", bind]
    return [*words, job.app]
