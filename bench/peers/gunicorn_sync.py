"""gunicorn with its default worker: one request at a time, a new connection for each.

Fair: it is what `gunicorn app:app` starts. The worker has no keep-alive by design (it expects a proxy in
front), so that this row has the price of a connection in each request.
"""

from measure.server import PYTHON
from peers.gunicorn_gthread import version


def commands(job):
    version()
    words = [PYTHON, "-m", "gunicorn", "--workers", job.lanes, "--log-level", "error"]
    words += ["--backlog", "4096", "--chdir", job.apps, "--bind", f"127.0.0.1:{job.port}", job.app]
    return [words]
