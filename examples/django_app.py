"""Notes of those who are signed in, on Django, in one file.

    pip install fluidauth django waitress uvicorn
    FLUIDAUTH_DEVELOPMENT=1 waitress-serve --listen 127.0.0.1:8000 examples.django_app:app
    FLUIDAUTH_DEVELOPMENT=1 uvicorn --app-dir examples django_app:asgi_app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie. An application with
forms adds Django's CsrfViewMiddleware.
"""

from __future__ import annotations

import os
import tempfile

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_POST

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    # Your application takes a strong one from its environment. Development mode runs with this one.
    SECRET_KEY=os.environ.get("SECRET_KEY", "django-insecure-for-this-machine-alone"),
    SESSION_ENGINE="fluidauth.integrations.django",
    SESSION_COOKIE_SECURE=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "fluidauth.integrations.django"],
    MIDDLEWARE=[
        "fluidauth.integrations.django.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(tempfile.mkdtemp(), "users.db"),
        }
    },
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import login, logout  # noqa: E402  they need the settings
from django.contrib.auth.models import User  # noqa: E402

call_command("migrate", verbosity=0)


def home(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"hello": request.user.get_username() or None})


@require_POST  # type: ignore[untyped-decorator]  # Django has no types
def sign_in(request: HttpRequest) -> HttpResponse:
    # Here a real application compares a password: django.contrib.auth.authenticate().
    user, _ = User.objects.get_or_create(username=request.POST["name"])
    login(request, user)
    return redirect("/notes")


def notes(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return JsonResponse({"error": "sign in first"}, status=401)
    if request.method == "POST":
        request.session["notes"] = [*request.session.get("notes", []), request.POST["note"]]
    return JsonResponse({"user": request.user.get_username(), "notes": request.session.get("notes", [])})


@require_POST  # type: ignore[untyped-decorator]  # Django has no types
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("/notes")


urlpatterns = [
    path("", home),
    path("sign-in", sign_in),
    path("notes", notes),
    path("sign-out", sign_out),
]

app = get_wsgi_application()
asgi_app = get_asgi_application()
