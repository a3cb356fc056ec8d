"""A guestbook: read, sign, take back. Mounted wherever the server likes; see ../corelane.toml.

`create_app()` is the WSGI application. Messages live in ../data, see store.py.
"""

import hmac
import platform
import re
import secrets
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from flask import (
    Flask,
    abort,
    current_app,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.exceptions import HTTPException

import store

DATA = Path(__file__).resolve().parent.parent / "data"
NAME_CHARACTERS_MAX = 60
TEXT_CHARACTERS_MAX = 1_000
ID_MAX = 2**63 - 1  # SQLite's largest integer.
CONTROL_CHARACTER = re.compile(r"[^\n\x20-\x7e\xa0-\U0010ffff]")
MADE_BY = f"Flask {version('flask')} on Python {platform.python_version()}"


def create_app(data=DATA):
    """The application. `data` is the folder of the database and the key."""
    app = Flask(__name__)
    app.config.update(
        DATA=Path(data),
        SECRET_KEY=store.prepare(Path(data)),
        SESSION_COOKIE_NAME="guestbook",
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=31),
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    app.before_request(check_form_token)
    app.teardown_appcontext(close_database)
    app.context_processor(page_values)
    app.register_error_handler(HTTPException, apologise)

    app.add_url_rule("/", view_func=book, methods=["GET", "POST"])
    app.add_url_rule(
        f"/messages/<int(max={ID_MAX}):message_id>/delete", view_func=delete, methods=["POST"]
    )
    app.add_url_rule("/api/messages", view_func=messages_json)
    app.add_url_rule("/boom", view_func=boom)
    return app


# What a visitor can ask for.


def book():
    """Shows the newest messages and the form; a POST adds a message."""
    name, text, mistakes = "", "", {}
    if request.method == "POST":
        name, text = cleaned("name"), cleaned("text")
        mistakes = mistakes_in(name, text)
        if not mistakes:
            store.add(database(), author(), name, text)
            flash("Thank you, your entry is in the book.")
            return redirect(url_for("book"), code=303)
    page = render_template(
        "book.html",
        messages=store.newest(database()),
        author=author(),
        name=name,
        text=text,
        mistakes=mistakes,
        name_max=NAME_CHARACTERS_MAX,
        text_max=TEXT_CHARACTERS_MAX,
        shown_max=store.SHOWN_MAX,
    )
    return page, 422 if mistakes else 200


def delete(message_id):
    """Deletes a message that this visitor wrote."""
    if store.remove(database(), author(), message_id) == 0:
        abort(404, "This entry is gone, or it is somebody else's.")
    flash("Your entry was removed.")
    return redirect(url_for("book"), code=303)


def messages_json():
    """The newest messages for programs. Who wrote one stays out: it is the right to delete it."""
    public = ("id", "posted_at", "name", "text")
    rows = store.newest(database())
    return jsonify(messages=[{key: row[key] for key in public} for row in rows])


def boom():
    """Fails, to show that the visitor gets an apology and the log the traceback."""
    raise RuntimeError("This page fails on purpose.")


# What the views need.


def database():
    """This request's connection."""
    if "db" not in g:
        g.db = store.connect(current_app.config["DATA"])
    return g.db


def close_database(_error):
    db = g.pop("db", None)
    if db is not None:
        db.close()


def author():
    """This visitor, as a random word in the signed session."""
    if "author" not in session:
        session["author"] = secrets.token_urlsafe(16)
        session.permanent = True
    return session["author"]


def form_token():
    """The word that proves that a form came from one of our pages."""
    if "form_token" not in session:
        session["form_token"] = secrets.token_urlsafe(16)
    return session["form_token"]


def check_form_token():
    if request.method != "POST":
        return
    expected = session.get("form_token", "")
    given = request.form.get("form_token", "")
    # Bytes, because compare_digest refuses str with characters outside of ASCII.
    if not expected or not hmac.compare_digest(expected.encode(), given.encode()):
        abort(400, "This form is too old. Go back, load the page again and send it once more.")


def cleaned(field):
    """A form field without outer white space; a control character becomes a space."""
    value = request.form.get(field, "").replace("\r\n", "\n")
    return CONTROL_CHARACTER.sub(" ", value).strip()


def mistakes_in(name, text):
    """A sentence for each field that cannot be accepted."""
    mistakes = {}
    if not name:
        mistakes["name"] = "Please write your name."
    elif len(name) > NAME_CHARACTERS_MAX or "\n" in name:
        mistakes["name"] = f"At most {NAME_CHARACTERS_MAX} characters, on one line."
    if not text:
        mistakes["text"] = "Please write a few words."
    elif len(text) > TEXT_CHARACTERS_MAX:
        mistakes["text"] = f"At most {TEXT_CHARACTERS_MAX} characters."
    return mistakes


def page_values():
    """What every template may use."""
    return {
        "form_token": form_token,
        "made_by": MADE_BY,
        "lane": request.environ.get("corelane.lane"),
    }


def apologise(error):
    """A page for every error. Flask has logged the traceback before it comes here."""
    response = error.get_response()  # With the fields that belong to it, such as Allow in a 405.
    response.set_data(render_template("sorry.html", error=error))
    return response
