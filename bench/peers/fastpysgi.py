"""fastpysgi: libuv and llhttp in C, one thread for each worker.

Fair: started as its README does, keep-alive and Nagle's off are its defaults.
"""

import importlib.metadata

from measure.server import PYTHON, Missing


def version():
    try:
        return importlib.metadata.version("fastpysgi")
    except importlib.metadata.PackageNotFoundError:
        raise Missing("no fastpysgi in bench/.venv") from None


def commands(job):
    version()
    return [[PYTHON, job.apps / "serve_fastpysgi.py", job.app, job.port, job.lanes]]
