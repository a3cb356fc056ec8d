"""What the servers serve: a folder of files and the applications of bench/apps, the same for all.

`Work.expected` says what the right answer to a request is without asking any of the servers: for a
file its bytes on disk, for an application what it returns when it is called right here.
"""

import dataclasses
import email.utils
import importlib
import io
import os
import pathlib
import random
import sqlite3
import sys
import wsgiref.util
from urllib.parse import urlsplit

APPS = pathlib.Path(__file__).resolve().parent.parent / "apps"
WRITTEN = 1_767_225_600  # when all files were last changed: 2026-01-01 00:00:00 GMT, for conditions
SIZES = {"13.txt": 13, "4k.html": 4 * 1024, "100k.bin": 100 * 1024, "10m.bin": 10 * 1024 * 1024}

# A site as people have them: a page, its styles, scripts, fonts, pictures; 785 KB in all.
SITE = {
    "index.html": 9_216, "about.html": 6_144, "blog/index.html": 14_336, "blog/first.html": 22_528,
    "css/site.css": 31_744, "css/print.css": 2_048, "js/app.js": 92_160, "js/search.js": 18_432,
    "fonts/text.woff2": 41_984, "fonts/bold.woff2": 43_008, "img/logo.svg": 1_843, "img/menu.svg": 512,
    "img/hero.jpg": 204_800, "img/team.jpg": 153_600, "img/thumb1.webp": 12_288,
    "img/thumb2.webp": 11_264, "img/chart.png": 61_440, "favicon.ico": 1_150, "robots.txt": 68,
    "data/feed.json": 27_648,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Expected:
    """The right answer: status, all bytes of the body, and header fields that must be just so."""

    status: int
    body: bytes
    headers: dict


class Work:
    """Writes what is to be served into a folder, and knows the right answers."""

    def __init__(self, folder):
        self.site = pathlib.Path(folder) / "site"
        self.site.mkdir()
        pathlib.Path(folder).chmod(0o755)  # nginx's worker is another user
        for path, size in {**SIZES, **SITE}.items():
            write(self.site / path, size)
        make_database(APPS / "books.sqlite")

    def expected(self, request, target):
        """The answer to `request` where the site and the application `target` (or None) are served."""
        file = self.site / urlsplit(request.path).path.lstrip("/")
        if file.is_file():
            return expected_of_file(request, file)
        return call(request, target)


def write(file, size):
    """The same bytes at each run: text for the small one, noise for the others."""
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = random.Random(file.name).randbytes(size)
    file.write_bytes(b"Hello, world!" if size == 13 else noise)
    os.utime(file, (WRITTEN, WRITTEN))


def make_database(file):
    """A table of 100 books for the application that asks a database."""
    file.unlink(missing_ok=True)
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT, author TEXT, year INTEGER)")
        rows = [(f"The book <{i}> & its cover", f"Author {i % 17}", 1900 + i) for i in range(100)]
        database.executemany("INSERT INTO book (title, author, year) VALUES (?, ?, ?)", rows)
    database.close()


def expected_of_file(request, file):
    body = file.read_bytes()
    if request.status == 304:
        return Expected(304, b"", {"Last-Modified": email.utils.formatdate(WRITTEN, usegmt=True)})
    if request.status == 206:
        first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
        field = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
        return Expected(206, body[first : last + 1], field)
    return Expected(200, body, {"Content-Length": str(len(body))})


def call(request, target):
    """Calls the WSGI application in this process, without any server."""
    if str(APPS) not in sys.path:
        sys.path.insert(0, str(APPS))
    module, attribute = target.split(":")
    url = urlsplit(request.path)
    environ = {"REQUEST_METHOD": request.method, "PATH_INFO": url.path, "QUERY_STRING": url.query}
    environ |= {"CONTENT_LENGTH": str(request.body_bytes), "wsgi.input": io.BytesIO(request.body)}
    wsgiref.util.setup_testing_defaults(environ)
    seen = {}
    answer = getattr(importlib.import_module(module), attribute)(
        environ, lambda status, headers, exc_info=None: seen.update(status=status)
    )
    body = b"".join(answer)
    return Expected(int(seen["status"].split()[0]), body, {})
