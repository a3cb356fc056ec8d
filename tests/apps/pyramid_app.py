"""The test application on Pyramid. `create_app()` or `application`; its routes are those of
flask_app.py and django_app.py."""

import hashlib

import samples
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory

DOWNLOAD = samples.download_path()


def hello(request):
    return plain("Hello from Pyramid")


def form(request):
    return Response(samples.FORM)


def form_sent(request):
    return plain(f"hello {request.POST['name']}")


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return plain(f"visits: {request.session['visits']}")


def leave(request):
    return HTTPFound(request.route_url("landing"))


def landing(request):
    return plain("landed")


def stream(request):
    return Response(app_iter=samples.stream_lines(), content_type="text/plain", charset="utf-8")


def upload(request):
    length, digest = 0, hashlib.sha256()
    for piece in samples.pieces(request.POST["file"].file):
        length += len(piece)
        digest.update(piece)
    return Response(json_body={"bytes": length, "sha256": digest.hexdigest()})


def send(request):
    return FileResponse(DOWNLOAD, request=request, content_type="application/octet-stream")


def fail(request):
    return plain(str(1 / 0))


def environ(request):
    return Response(json_body=samples.plain_values(request.environ))


def sleep(request):
    return plain(samples.sleep(request.GET.get("seconds", "1")))


def cookies(request):
    response = plain("two cookies")
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return response


def plain(text):
    return Response(text, content_type="text/plain", charset="utf-8")


ROUTES = [
    # (name, path, method, view); GET stands for HEAD too.
    ("hello", "/", "GET", hello),
    ("form", "/form", "GET", form),
    ("form_sent", "/form", "POST", form_sent),
    ("session", "/session", "GET", visits),
    ("redirect", "/redirect", "GET", leave),
    ("landing", "/landing", "GET", landing),
    ("stream", "/stream", "GET", stream),
    ("upload", "/upload", "POST", upload),
    ("download", "/download", "GET", send),
    ("raise", "/raise", "GET", fail),
    ("environ", "/environ", "GET", environ),
    ("sleep", "/sleep", "GET", sleep),
    ("cookies", "/cookies", "GET", cookies),
]


def create_app():
    sessions = SignedCookieSessionFactory("only for tests")
    with Configurator(session_factory=sessions) as config:
        for name, path, method, view in ROUTES:
            config.add_route(name, path, request_method=method)
            config.add_view(view, route_name=name)
        return config.make_wsgi_app()


application = create_app()
