"""The test application on Flask. `create_app()` or `app`; its routes are those of django_app.py and
pyramid_app.py."""

import hashlib

import samples
from flask import Flask, Response, jsonify, redirect, request, send_file, session, url_for


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "only for tests"
    download = samples.download_path()

    @app.get("/")
    def hello():
        return plain("Hello from Flask")

    @app.route("/form", methods=["GET", "POST"])
    def form():
        if request.method == "POST":
            return plain(f"hello {request.form['name']}")
        return samples.FORM

    @app.get("/session")
    def visits():
        session["visits"] = session.get("visits", 0) + 1
        return plain(f"visits: {session['visits']}")

    @app.get("/redirect")
    def leave():
        return redirect(url_for("landing", _external=True), code=302)

    @app.get("/landing")
    def landing():
        return plain("landed")

    @app.get("/stream")
    def stream():
        return Response(samples.stream_lines(), mimetype="text/plain")

    @app.post("/upload")
    def upload():
        length, digest = 0, hashlib.sha256()
        for piece in samples.pieces(request.files["file"].stream):
            length += len(piece)
            digest.update(piece)
        return jsonify(bytes=length, sha256=digest.hexdigest())

    @app.get("/download")
    def send():
        return send_file(download, mimetype="application/octet-stream")

    @app.get("/raise")
    def fail():
        return plain(str(1 / 0))

    @app.get("/environ")
    def environ():
        return jsonify(samples.plain_values(request.environ))

    @app.get("/sleep")
    def sleep():
        return plain(samples.sleep(request.args.get("seconds", "1")))

    @app.get("/cookies")
    def cookies():
        response = plain("two cookies")
        response.set_cookie("first", "1")
        response.set_cookie("second", "2")
        return response

    return app


def plain(text):
    return Response(text, mimetype="text/plain")


app = create_app()
