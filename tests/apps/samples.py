"""What the three framework applications send, so that one test can check all of them."""

import array
import os
import sys
import tempfile
import time

DOWNLOAD_BYTES = 10 * 1024 * 1024
STREAM_LINES = 1_000
READ_BYTES = 64 * 1024
SLEEP_SECONDS_MAX = 30.0

FORM = """<!doctype html>
<title>Form</title>
<form method="post" accept-charset="utf-8">
<input name="name">
<button>Send</button>
</form>
"""


def download_path():
    """A file of 10 MiB: the numbers 0, 1, 2 ... as unsigned 64-bit little-endian integers.

    Made once for each user and machine. It appears under its name when it is whole, so that
    interpreters and processes that start together do no harm to each other.
    """
    folder = os.path.join(tempfile.gettempdir(), f"corelane-tests-{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, "download.bin")
    if not os.path.exists(path):
        numbers = array.array("Q", range(DOWNLOAD_BYTES // 8))
        if sys.byteorder == "big":
            numbers.byteswap()
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(numbers.tobytes())
        os.replace(file.name, path)
    return path


def stream_lines():
    """1,000 pieces, each "line N" with a line end; N counts from 0."""
    for number in range(STREAM_LINES):
        yield f"line {number}\n".encode("ascii")


def sleep(seconds):
    """Blocks this thread. Returns what to answer."""
    time.sleep(min(max(float(seconds), 0.0), SLEEP_SECONDS_MAX))
    return "slept"


def pieces(file):
    """The contents of a file object, 64 KiB at a time."""
    return iter(lambda: file.read(READ_BYTES), b"")


def plain_values(environ):
    """The keys of environ whose values are strings or numbers."""
    return {key: value for key, value in sorted(environ.items()) if isinstance(value, (str, int))}
