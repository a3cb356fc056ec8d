"""One WSGI callable without a framework. Each path does one thing that PEP 3333 allows, or one that
it forbids, for the tests of the protocol between the server and an application."""

import json
import os
import sys
import threading
import time
from urllib.parse import parse_qs
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]
SLEEP_MS_MAX = 30_000
STREAM_BYTES_MAX = 256 * 1024 * 1024


def app(environ, start_response):
    handler = PATHS.get(environ["PATH_INFO"], not_found)
    return handler(environ, start_response)


# Answers that are right.


def hello(environ, start_response):
    """13 bytes, with their length."""
    start_response("200 OK", [*TEXT, ("Content-Length", "13")])
    return [b"Hello, world!"]


def generator(environ, start_response):
    """start_response is called when the first piece is asked for, not before."""
    start_response("200 OK", TEXT)
    yield b"one "
    yield b""
    yield b"two "
    yield b"three"


def write(environ, start_response):
    """What is written comes before what is returned."""
    send = start_response("200 OK", TEXT)
    send(b"written ")
    send(b"twice, ")
    return [b"then returned"]


def exc_info(environ, start_response):
    """The error replaces an answer of which nothing was sent: a 500 with our own body."""
    start_response("200 OK", [*TEXT, ("X-First", "yes")])
    try:
        raise ValueError("before the body")
    except ValueError:
        start_response("500 Internal Server Error", [*TEXT, ("X-Second", "yes")], sys.exc_info())
    return [b"replaced"]


def empty(environ, start_response):
    """No piece at all."""
    start_response("200 OK", TEXT)
    return []


def fields(environ, start_response):
    """A field that comes twice, a value outside of ASCII, and a status of our own."""
    start_response(
        "299 Quite Fine",
        [*TEXT, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "caf\xe9")],
    )
    return [b"fields"]


def stream(environ, start_response):
    """?n= pieces of ?size= bytes; piece number i is filled with the letter i modulo 26."""
    count, size = number(environ, "n", 10), number(environ, "size", 10)
    if count * size > STREAM_BYTES_MAX:
        start_response("400 Bad Request", TEXT)
        return [b"too much"]
    start_response("200 OK", TEXT)
    return (bytes([ord("a") + i % 26]) * size for i in range(count))


def sleep(environ, start_response):
    """Blocks its thread for ?ms= milliseconds."""
    time.sleep(min(number(environ, "ms", 1_000), SLEEP_MS_MAX) / 1_000)
    start_response("200 OK", TEXT)
    return [b"slept"]


def no_content(environ, start_response):
    """A 204 with a body, which the server must not send."""
    start_response("204 No Content", [])
    return [b"a body that must not be sent"]


def not_modified(environ, start_response):
    """A 304, with a body that the server must not send."""
    start_response("304 Not Modified", [("ETag", '"one"')])
    return [b"a body that must not be sent"]


def reset_content(environ, start_response):
    """A 205 with a body, which the server must not send."""
    start_response("205 Reset Content", TEXT)
    return [b"a body that must not be sent"]


# What the application is given.


def echo(environ, start_response):
    """The body that came, read in one go; the method and the length that environ tells."""
    body = environ["wsgi.input"].read()
    start_response(
        "200 OK",
        [
            ("Content-Type", environ.get("CONTENT_TYPE") or "application/octet-stream"),
            ("Content-Length", str(len(body))),
            ("X-Method", environ["REQUEST_METHOD"]),
            ("X-Content-Length", environ.get("CONTENT_LENGTH", "absent")),
        ],
    )
    return [body]


def lines(environ, start_response):
    """The body as a JSON list, cut by the method of wsgi.input that ?by= names."""
    body = environ["wsgi.input"]
    by = query(environ).get("by", "iterate")
    ways = {
        "iterate": lambda: list(body),
        "readline": lambda: list(iter(body.readline, b"")),
        "readline_5": lambda: list(iter(lambda: body.readline(5), b"")),
        "readlines": lambda: body.readlines(),
        "readlines_10": lambda: list(until_empty(lambda: body.readlines(10))),
        "read_3": lambda: list(iter(lambda: body.read(3), b"")),
        "read_all": lambda: [body.read(-1), body.read(), body.readline()],
    }
    return in_json(start_response, [piece.decode("latin-1") for piece in ways[by]()])


def environ_json(environ, start_response):
    """The whole environ. What JSON cannot say is told by its type."""

    def described(value):
        known = isinstance(value, (str, bool, int, tuple))
        return value if known else f"<{type(value).__name__}>"

    return in_json(start_response, {key: described(value) for key, value in environ.items()})


def errors(environ, start_response):
    """Lines on wsgi.errors: they belong into the server's log."""
    log = environ["wsgi.errors"]
    log.write("one line from the application\n")
    log.writelines(["half a line, ", "its end: gr\xfcezi\n"])
    log.flush()
    print("printed to wsgi.errors", file=log)
    start_response("200 OK", TEXT)
    return [b"logged"]


def lane(environ, start_response):
    """Which lane answers."""
    start_response("200 OK", TEXT)
    return [str(environ.get("corelane.lane")).encode("ascii")]


def thread(environ, start_response):
    """Which process, which thread (as the kernel counts them) and which interpreter answers.

    No two living interpreters of one process have the same address of `sys.modules`.
    """
    told = {
        "process": os.getpid(),
        "thread": threading.get_native_id(),
        "interpreter": id(sys.modules),
    }
    return in_json(start_response, told)


# Promises that are not kept, and exceptions.


def fail(environ, start_response):
    """Raises before anything was said."""
    raise RuntimeError("raised by /raise")


def fail_midway(environ, start_response):
    """Raises when the first piece is on its way."""
    start_response("200 OK", TEXT)
    yield b"the first piece, "
    raise RuntimeError("raised by /raise_midway")


def exc_info_midway(environ, start_response):
    """start_response with exc_info after a piece was sent: it must raise the exception again."""
    start_response("200 OK", TEXT)
    yield b"the first piece, "
    try:
        raise RuntimeError("raised by /exc_info_midway")
    except RuntimeError:
        start_response("500 Internal Server Error", TEXT, sys.exc_info())
    yield b"must not be sent"


def leave(environ, start_response):
    """sys.exit() ends the request, never the server."""
    sys.exit("left by /exit")


def short(environ, start_response):
    """Promises 100 bytes and gives 10."""
    start_response("200 OK", [*TEXT, ("Content-Length", "100")])
    return [b"0123456789"]


def long(environ, start_response):
    """Promises 5 bytes and gives 10."""
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"01234", b"56789"]


def bad_header(environ, start_response):
    """A field value that would start a field of its own."""
    start_response("200 OK", [*TEXT, ("X-Bad", "one\r\nX-Injected: two")])
    return [b"must not be sent"]


def bad_status(environ, start_response):
    """A status line that would start a field of its own."""
    start_response("200 OK\r\nX-Injected: two", TEXT)
    return [b"must not be sent"]


def interim(environ, start_response):
    """A status that announces another answer behind it, which WSGI cannot give."""
    start_response("103 Early Hints", TEXT)
    return [b"must not be sent"]


def header(environ, start_response):
    """The field that ?name= and ?value= make, under the status ?status=."""
    asked = query(environ)
    field = (asked.get("name", ""), asked.get("value", ""))
    start_response(asked.get("status", "200 OK"), [*TEXT, field])
    return [b"answered"]


def hop_by_hop(environ, start_response):
    """Fields of the connection belong to the server (PEP 3333, "Other HTTP Features")."""
    start_response("200 OK", [*TEXT, ("Connection", "close")])
    return [b"must not be sent"]


def started_twice(environ, start_response):
    """A second start_response without exc_info is an error."""
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b"must not be sent"]


def never_started(environ, start_response):
    """A body without start_response."""
    return [b"must not be sent"]


def not_bytes(environ, start_response):
    """Text where bytes belong."""
    start_response("200 OK", TEXT)
    return ["text"]


def nothing(environ, start_response):
    """None where an iterable belongs."""
    start_response("200 OK", TEXT)
    return None


# close() and the validator of the standard library.


class Closing:
    """Pieces whose close() adds a line to the file that CORELANE_TEST_CLOSES names.

    ?n= pieces of ?size= bytes; with ?raise=1 the last one is an exception instead.
    """

    def __init__(self, environ):
        self.left = number(environ, "n", 1)
        self.size = number(environ, "size", 6)
        self.raises = number(environ, "raise", 0) == 1

    def __iter__(self):
        return self

    def __next__(self):
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        if self.left == 0 and self.raises:
            raise RuntimeError("raised by /closes")
        return b"c" * self.size

    def close(self):
        with open(os.environ["CORELANE_TEST_CLOSES"], "a") as file:
            file.write("closed\n")


def closes(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing(environ)


@validator
def validated(environ, start_response):
    """The body that came, watched by wsgiref.validate, which raises where the server is wrong."""
    given = environ["wsgi.input"]
    body = b"".join(iter(lambda: given.read(1_000), b""))
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body)))])
    return [body]


def not_found(environ, start_response):
    start_response("404 Not Found", TEXT)
    return [b"no such path in plain.py"]


PATHS = {
    "/hello": hello,
    "/generator": generator,
    "/write": write,
    "/exc_info": exc_info,
    "/exc_info_midway": exc_info_midway,
    "/empty": empty,
    "/fields": fields,
    "/stream": stream,
    "/sleep": sleep,
    "/no_content": no_content,
    "/not_modified": not_modified,
    "/reset_content": reset_content,
    "/echo": echo,
    "/lines": lines,
    "/environ": environ_json,
    "/errors": errors,
    "/lane": lane,
    "/thread": thread,
    "/raise": fail,
    "/raise_midway": fail_midway,
    "/exit": leave,
    "/short": short,
    "/long": long,
    "/bad_header": bad_header,
    "/bad_status": bad_status,
    "/interim": interim,
    "/header": header,
    "/hop_by_hop": hop_by_hop,
    "/started_twice": started_twice,
    "/never_started": never_started,
    "/not_bytes": not_bytes,
    "/none": nothing,
    "/closes": closes,
    "/validated": validated,
}


def query(environ):
    """The first value of each parameter of the query."""
    return {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}


def number(environ, name, otherwise):
    return int(query(environ).get(name, otherwise))


def until_empty(read):
    """All items of the lists that read() returns, until it returns an empty one."""
    while found := read():
        yield from found


def in_json(start_response, value):
    body = json.dumps(value).encode("ascii")
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]
