"""floor: a bare io_uring loop with httparse that always gives the same answer of 13 bytes.

No timeouts, no routes, no files, no Python: what remains is the kernel, one parser, and one loop. It is
no server that one could use; it is the limit below which no server of this kind gets on this kernel.
"""

from measure.server import BUILT, Missing


def version():
    return "of this repository"


def commands(job):
    if not (BUILT / "floor").exists():
        raise Missing("floor is not built: cargo build --release --package corelane-bench")
    return [[BUILT / "floor", job.port]]
