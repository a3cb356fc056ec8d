"""A page as small Flask applications have them: a query of SQLite, a Jinja template, 20 rows of HTML."""

import pathlib
import sqlite3

from flask import Flask, g, render_template

DATABASE = pathlib.Path(__file__).with_name("books.sqlite")

app = Flask(__name__)


def database():
    if "database" not in g:
        g.database = sqlite3.connect(DATABASE)
        g.database.row_factory = sqlite3.Row
    return g.database


@app.teardown_appcontext
def close(_error):
    if "database" in g:
        g.database.close()


@app.get("/books/<int:since>")
def books(since):
    query = "SELECT title, author, year FROM book WHERE year >= ? ORDER BY title LIMIT 20"
    rows = database().execute(query, (since,)).fetchall()
    return render_template("books.html", since=since, books=rows)
