"""The test application on Django, in one file. `application`; its routes are those of flask_app.py
and pyramid_app.py."""

import hashlib

import samples
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    LOGGING={  # Without it Django mails the traceback of an error, and logs nothing.
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"], "level": "WARNING"},
    },
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    TIME_ZONE="UTC",
    USE_TZ=True,
)

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import FileResponse, HttpResponse, JsonResponse  # noqa: E402
from django.http import StreamingHttpResponse  # noqa: E402
from django.shortcuts import redirect  # noqa: E402
from django.urls import path, reverse  # noqa: E402
from django.views.decorators.http import require_http_methods, require_POST  # noqa: E402

DOWNLOAD = samples.download_path()


def hello(request):
    return plain("Hello from Django")


@require_http_methods(["GET", "HEAD", "POST"])
def form(request):
    if request.method == "POST":
        return plain(f"hello {request.POST['name']}")
    return HttpResponse(samples.FORM)


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return plain(f"visits: {request.session['visits']}")


def leave(request):
    return redirect(request.build_absolute_uri(reverse("landing")))


def landing(request):
    return plain("landed")


def stream(request):
    return StreamingHttpResponse(samples.stream_lines(), content_type="text/plain; charset=utf-8")


@require_POST
def upload(request):
    length, digest = 0, hashlib.sha256()
    for piece in request.FILES["file"].chunks(samples.READ_BYTES):
        length += len(piece)
        digest.update(piece)
    return JsonResponse({"bytes": length, "sha256": digest.hexdigest()})


def send(request):
    return FileResponse(open(DOWNLOAD, "rb"), content_type="application/octet-stream")


def fail(request):
    return plain(str(1 / 0))


def environ(request):
    return JsonResponse(samples.plain_values(request.environ))


def sleep(request):
    return plain(samples.sleep(request.GET.get("seconds", "1")))


def cookies(request):
    response = plain("two cookies")
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return response


def plain(text):
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


urlpatterns = [
    path("", hello),
    path("form", form),
    path("session", visits),
    path("redirect", leave),
    path("landing", landing, name="landing"),
    path("stream", stream),
    path("upload", upload),
    path("download", send),
    path("raise", fail),
    path("environ", environ),
    path("sleep", sleep),
    path("cookies", cookies),
]

application = get_wsgi_application()
