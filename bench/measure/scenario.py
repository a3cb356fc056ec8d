"""A scenario: one TOML file of bench/scenarios, checked, as a value. It knows nothing of servers.

A file says what is served, what is asked, with how much load, which peers take part, what is compared
and which bars were set. An unknown key is an error: a typo must not quietly measure something else.
"""

import dataclasses
import pathlib
import tomllib

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "scenarios"

MEASURES = {
    "cpu_us": "CPU us a request",
    "wall_us": "us from answer to answer",
    "p99_ms": "p99 in ms",
    "pss_mib": "memory in MiB (PSS)",
    "connection_bytes": "bytes a connection (PSS)",
}


@dataclasses.dataclass(frozen=True)
class Request:
    """One request of the load, and the status that its answer must have."""

    path: str
    method: str = "GET"
    headers: dict = dataclasses.field(default_factory=dict)
    body_bytes: int = 0
    status: int = 200

    @property
    def body(self):
        return bytes(ord("a") + i % 23 for i in range(self.body_bytes))


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What one row of the table is about. See bench/README.md for the keys."""

    name: str
    title: str
    shows: str
    serves: tuple  # of "site" and "module:attribute"
    peers: tuple
    requests: tuple
    load: str = "wrk"  # or "steady", "idle", "memory"
    compares: str = "cpu_us"  # a key of MEASURES; less is better
    connections: tuple = (64,)
    lanes: tuple = (1,)
    threads: int | None = None  # Python threads a lane; None is each server's default, 0 is inline
    rate: int | None = None  # requests a second, where the load is not as much as possible
    pipeline: int = 1
    requests_per_connection: int | None = None
    background: dict | None = None  # path, connections: a second load, whose answers are not counted
    access_log: bool = False  # whether the servers write one
    saturates: bool = True  # whether a server that is not busy means that the load was the limit
    bars: dict = dataclasses.field(default_factory=dict)  # peer: the greatest ratio, at the most lanes
    bar_value: float | None = None  # the greatest value of corelane itself
    quick: bool = False  # whether it belongs to --quick
    unbuilt: str = ""  # why corelane cannot do this yet

    def quickly(self):
        """What of it the quick run needs: the peers of its bars, the most lanes."""
        peers = tuple(peer for peer in self.peers if peer in self.bars) or self.peers[:1]
        return dataclasses.replace(self, peers=peers, lanes=self.lanes[-1:])


def read_all():
    """All scenarios, by name, in the order of their file names."""
    paths = sorted(FOLDER.glob("*.toml"))
    return {scenario.name: scenario for scenario in map(read, paths)}


def read(path):
    keys = tomllib.loads(path.read_text())
    try:
        keys["requests"] = tuple(Request(**request) for request in keys.pop("request"))
        for key in ("serves", "peers", "connections", "lanes"):
            if key in keys:
                keys[key] = tuple(keys[key])
        scenario = Scenario(name=path.stem.split("-", 1)[1], **keys)
    except (KeyError, TypeError) as mistake:
        raise SystemExit(f"{path}: {mistake}") from None
    if scenario.compares not in MEASURES or scenario.load not in ("wrk", "steady", "idle", "memory"):
        raise SystemExit(f"{path}: no such load or measure")
    if strangers := set(scenario.bars) - set(scenario.peers):
        raise SystemExit(f"{path}: a bar for {', '.join(strangers)}, who does not take part")
    return scenario
