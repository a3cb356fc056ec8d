"""bjoern: libev and C, one thread, no workers of its own.

Fair: started as its README does, keep-alive is on by default. It has one process; where a scenario asks
for more lanes it does not take part.
"""

import importlib.metadata

from measure.server import PYTHON, Missing


def version():
    try:
        return importlib.metadata.version("bjoern")
    except importlib.metadata.PackageNotFoundError:
        raise Missing("no bjoern in bench/.venv: it needs libev-dev to build") from None


def commands(job):
    version()
    if job.lanes > 1:
        raise Missing("bjoern has one process")
    return [[PYTHON, job.apps / "serve_bjoern.py", job.app, job.port]]
