"""Was the answer right? Compares what a server says with what is expected, byte by byte.

The sample is each request of the scenario, before and after each turn. What comes back beside the
verdict is how many bytes an answer has on the wire, so that the load's own count of bytes can be
compared with it: an answer that turns wrong in between shows there.
"""

import http.client
import io
import socket
import time


class Wrong(Exception):
    """What was wrong with an answer."""


class Unready(Wrong):
    """No answer, or a 5xx as a proxy gives it whose application still starts."""


def check(port, requests, work, target):
    """Asks each request once. Returns the mean bytes of an answer on the wire; raises Wrong."""
    sizes = [check_one(port, request, work.expected(request, target)) for request in requests]
    return sum(sizes) / len(sizes)


def check_one(port, request, expected):
    message = (
        f"{request.method} {request.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        + "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        + (f"Content-Length: {request.body_bytes}\r\n" if request.body_bytes else "")
        + "\r\n"
    )
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            peer.sendall(message.encode() + request.body)
            counted = Counted(peer)
            response = http.client.HTTPResponse(counted, method=request.method)
            response.begin()
            body = response.read()
    except (OSError, http.client.HTTPException) as fault:
        raise Unready(f"{request.path}: {fault!r}") from fault
    compare(request, response, body, expected)
    return counted.bytes


def compare(request, response, body, expected):
    if response.status != expected.status:
        kind = Unready if response.status >= 500 else Wrong
        raise kind(f"{request.path}: status {response.status}, not {expected.status}")
    for name, value in expected.headers.items():
        if response.getheader(name) != value:
            raise Wrong(f"{request.path}: {name}: {response.getheader(name)}, not {value}")
    if body != expected.body:
        at = next((i for i, (a, b) in enumerate(zip(body, expected.body)) if a != b), None)
        at = min(len(body), len(expected.body)) if at is None else at
        raise Wrong(f"{request.path}: {len(body)} of {len(expected.body)} bytes, first wrong one is {at}")


def wait_until_ready(port, requests, work, target, seconds):
    """Asks the first request until it is answered; raises Wrong for an answer that is wrong."""
    until = time.monotonic() + seconds
    while True:
        try:
            return check(port, requests[:1], work, target)
        except Unready:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


class Counted(io.RawIOBase):
    """A socket for http.client that counts the bytes of an answer on the wire."""

    def __init__(self, peer):
        super().__init__()
        self.peer, self.bytes = peer, 0

    def makefile(self, _mode):
        return io.BufferedReader(self)

    def readable(self):
        return True

    def readinto(self, buffer):
        count = self.peer.recv_into(buffer)
        self.bytes += count
        return count
