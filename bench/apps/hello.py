"""The least that a WSGI application can do, and two things beside it."""

import time
import zlib


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world!"]


def take(environ, start_response):
    """Reads the whole body, and says how long it is and what its checksum is."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    answer = b"%d %d" % (len(body), zlib.crc32(body))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


def sleep(environ, start_response):
    """Waits as a view does that asks another server: /sleep/10 for 10 ms."""
    time.sleep(int(environ["PATH_INFO"].rpartition("/")[2]) / 1000)
    return app(environ, start_response)
