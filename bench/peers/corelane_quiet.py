"""corelane itself without the scenario's background load: what its own latency is compared with."""

from peers.corelane import commands, version  # noqa: F401

BACKGROUND = False
