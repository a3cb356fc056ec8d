"""corelane, the release build, as its README starts it: no access log unless asked, all else by default."""

import subprocess

from measure.server import BUILT, PYTHON, Missing


def version():
    command = [BUILT / "corelane", "--version"]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()[1]


def commands(job):
    program = BUILT / "corelane"
    if not program.exists():
        raise Missing("corelane is not built: cargo build --release")
    words = [program, "--workers", job.lanes, "--bind", f"127.0.0.1:{job.port}", "--log-level", "error"]
    if job.access_log:
        words += ["--access-logfile", job.scratch / "access.log"]
    if job.site:
        words += ["--static", f"/={job.site}"]
    if job.app:
        words += ["--venv", PYTHON.parents[1], "--chdir", job.apps, job.app]
        words += [] if job.threads is None else ["--threads", job.threads]
    return [words]
