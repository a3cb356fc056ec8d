"""What the guestbook keeps on disk: the messages in SQLite and the key that signs sessions.

Every lane imports the application in an interpreter of its own, and each interpreter may run
several threads. They share nothing but these files, so whatever must happen once is done under a
file lock, and each request has its own connection.
"""

import fcntl
import os
import secrets
import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime

STORED_MAX = 1_000  # Messages kept. Older ones make room for new ones.
SHOWN_MAX = 200  # Messages on the page and in the JSON answer.
BUSY_SECONDS_MAX = 10  # How long a writer waits for another one.
KEY_BYTES = 32

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    posted_at TEXT NOT NULL,
    author TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL
)
"""


def prepare(folder):
    """Makes the folder, the database and the key unless they exist. Returns the key."""
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "start.lock"):
        db = connect(folder)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(SCHEMA)
        finally:
            db.close()
        return _secret_key(folder / "secret.key")


def connect(folder):
    """Opens the database in autocommit mode; rows are read by column name."""
    db = sqlite3.connect(
        folder / "guestbook.db", timeout=BUSY_SECONDS_MAX, isolation_level=None
    )
    db.row_factory = sqlite3.Row
    return db


def newest(db):
    """The newest messages, the latest first."""
    return db.execute(
        "SELECT id, posted_at, author, name, text FROM message ORDER BY id DESC LIMIT ?",
        (SHOWN_MAX,),
    ).fetchall()


def add(db, author, name, text):
    """Stores a message and drops the oldest ones over the bound."""
    posted_at = datetime.now(UTC).isoformat(timespec="seconds")
    # IMMEDIATE takes the write lock at once: a writer then waits for its turn, and never finds
    # in the middle of a transaction that another one was faster.
    with _transaction(db):
        db.execute(
            "INSERT INTO message (posted_at, author, name, text) VALUES (?, ?, ?, ?)",
            (posted_at, author, name, text),
        )
        db.execute(
            "DELETE FROM message WHERE id <="
            " (SELECT id FROM message ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (STORED_MAX,),
        )


def remove(db, author, message_id):
    """Deletes a message of this author. Returns how many were deleted: 0 or 1."""
    return db.execute(
        "DELETE FROM message WHERE id = ? AND author = ?", (message_id, author)
    ).rowcount


@contextmanager
def _alone(path):
    """Keeps every other interpreter and process out until the block ends (flock(2))."""
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _transaction(db):
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _secret_key(path):
    """The key that all lanes sign sessions with, so that a cookie from one is good at any other."""
    try:
        # O_EXCL: only the first start makes the file, readable by its owner alone.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise RuntimeError(f"{path} is damaged. Delete it: the next start makes a new one.")
    return key
