"""The servers. A file each: its name, how it is started, its version, and why that is fair to it.

`commands(job)` gives the command lines of its processes, or raises `Missing`.
"""

import importlib
import pathlib


def find(name):
    """The module of a peer: "gunicorn-sync" is gunicorn_sync.py."""
    return importlib.import_module(f"peers.{name.replace('-', '_')}")


def names():
    files = sorted(pathlib.Path(__file__).parent.glob("[a-z]*.py"))
    return [file.stem.replace("_", "-") for file in files]
