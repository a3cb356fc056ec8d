"""corelane itself without the access log of the scenario: what its cost is compared with."""

import dataclasses

from peers import corelane
from peers.corelane import version  # noqa: F401


def commands(job):
    return corelane.commands(dataclasses.replace(job, access_log=False))
