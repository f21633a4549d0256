"""One real sign-in, on Django, in one file: its users, password hashes, forms and messages.

    pip install fluidauth django gunicorn
    FLUIDAUTH_DEVELOPMENT=1 gunicorn --threads 8 examples.signin.django_app:app

It prints its example users. Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https.
"""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from .accounts import MOST_TRIES, TEMPLATES, example_users, time_of

settings.configure(
    ALLOWED_HOSTS=os.environ.get("ALLOWED_HOSTS", "localhost 127.0.0.1").split(),
    # Your application takes a strong one from its environment. Development mode runs with this one.
    SECRET_KEY=os.environ.get("SECRET_KEY", "django-insecure-for-this-machine-alone"),
    SESSION_ENGINE="fluidauth.integrations.django",
    SESSION_COOKIE_NAME="session" if os.environ.get("FLUIDAUTH_DEVELOPMENT") else "__Host-session",
    SESSION_COOKIE_SECURE=True,
    SESSION_EXPIRE_AT_BROWSER_CLOSE=True,  # except with "remember me"
    CSRF_COOKIE_SECURE=not os.environ.get("FLUIDAUTH_DEVELOPMENT"),
    FLUIDAUTH={
        "absolute_timeout": timedelta(days=30),
        "idle_timeout": timedelta(days=1),  # Django has one for all, also for those who are remembered
        "cross_origin": "block",
        "login_url": "/login",
        "status_path": "/session",
        "clear_site_data": ("cache", "storage"),
    },
    AUTH_PASSWORD_VALIDATORS=[
        {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
        {"NAME": "fluidauth.integrations.django.validators.EndOtherSessions"},
    ],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "fluidauth.integrations.django"],
    MIDDLEWARE=[
        "fluidauth.integrations.django.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [TEMPLATES]}],
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

from django.contrib import auth, messages  # noqa: E402  they need the settings
from django.contrib.auth.decorators import login_required  # noqa: E402
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.shortcuts import get_object_or_404, redirect, render  # noqa: E402
from django.template.backends.utils import csrf_input  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402

from fluidauth import local_path  # noqa: E402
from fluidauth.integrations.django import (  # noqa: E402
    end_impersonation,
    get_engine,
    impersonate,
    session_of,
)

call_command("migrate", verbosity=0)
examples = example_users()
for each in examples.values():
    User.objects.create_user(each.name, each.email, each.password, is_staff=each.is_admin)


def page(request: HttpRequest, template: str, status: int = 200, **more: Any) -> HttpResponse:
    actor, user = session_of(request).actor, None
    if request.user.is_authenticated:
        user = examples[request.user.username]  # it has the second factor, of which Django knows nothing
        user.email = request.user.email
    context = {
        "user": user,
        "actor": actor and {"user_id": User.objects.get(pk=actor.user_id), "reason": actor.reason},
        "until": time_of(actor.until) if actor else None,
        "messages": messages.get_messages(request),
        "csrf_input": csrf_input(request),
        **more,
    }
    return render(request, template, context, status=status)


def error_of(form: Any) -> str:
    return " ".join(message for errors in form.errors.values() for message in errors)


@login_required(login_url="/login")  # type: ignore[untyped-decorator]  # Django has no types
def home(request: HttpRequest) -> HttpResponse:
    return page(request, "home.html", methods=session_of(request).methods, users=examples)


def news(request: HttpRequest) -> HttpResponse:
    """What a page asks for by itself, every few seconds, with the header ``Session-Activity: none``."""
    session_of(request).require()
    return JsonResponse({"user": request.user.get_username()})


# -- signing in ------------------------------------------------------------------


def login(request: HttpRequest) -> HttpResponse:
    """Ask who it is, or ask again those who are signed in already: see login_url."""
    way = local_path(request.POST.get("next") or request.GET.get("next"))
    if request.method != "POST":
        template = "confirm.html" if request.user.is_authenticated else "login.html"
        return page(request, template, next=way)
    form = AuthenticationForm(request, data=request.POST)
    if not form.is_valid():
        return page(request, "login.html", 400, next=way, error=error_of(form))
    user = form.get_user()
    pending = {"user": user.username, "remember": "remember" in request.POST, "next": way, "tries": 0}
    if examples[user.username].factor:
        return ask_for_code(request, pending)
    return signed_in(request, pending, "pwd")


def ask_for_code(
    request: HttpRequest, pending: dict[str, Any], status: int = 200, error: str = ""
) -> HttpResponse:
    """Between the password and the code nobody is signed in: only this value knows of the first."""
    value = session_of(request).issue("second-factor", pending, ttl=timedelta(minutes=5))
    return page(request, "code.html", status, value=value, error=error)


@require_POST  # type: ignore[untyped-decorator]  # Django has no types
def check_code(request: HttpRequest) -> HttpResponse:
    pending = session_of(request).redeem("second-factor", request.POST["value"])
    factor = examples[pending["user"]].factor
    if factor is not None and factor.accepts(request.POST["code"]):
        return signed_in(request, pending, "pwd", "otp")
    pending["tries"] += 1
    if pending["tries"] >= MOST_TRIES:
        messages.error(request, "Please begin again.")
        return redirect("/login")
    return ask_for_code(request, pending, 400, "That is not the code.")


def signed_in(request: HttpRequest, pending: dict[str, Any], *methods: str) -> HttpResponse:
    auth.login(request, User.objects.get(username=pending["user"]))
    session_of(request).confirm(methods)
    if pending["remember"]:
        request.session.set_expiry(timedelta(days=30))
    return redirect(pending["next"])


@require_POST  # type: ignore[untyped-decorator]  # Django has no types
def confirm(request: HttpRequest) -> HttpResponse:
    """Step up: the user proves again who they are."""
    session, way = session_of(request), local_path(request.POST.get("next"))
    session.require()
    session.require_real_user()
    user, proof = examples[request.user.username], request.POST["proof"]
    if not (user.factor.accepts(proof) if user.factor else request.user.check_password(proof)):
        return page(request, "confirm.html", 400, next=way, error="That is not right.")
    session.confirm(methods=(user.strongest,))
    return redirect(way)


# -- what needs a fresh sign-in ---------------------------------------------------


@login_required(login_url="/login")  # type: ignore[untyped-decorator]  # Django has no types
def email(request: HttpRequest) -> HttpResponse:
    session_of(request).require(within=300, method=examples[request.user.username].strongest)
    if request.method != "POST":
        return page(request, "email.html")
    request.user.email = request.POST["email"]
    request.user.save()
    messages.success(request, "The e-mail address has changed.")
    return redirect("/")


@login_required(login_url="/login")  # type: ignore[untyped-decorator]  # Django has no types
def password(request: HttpRequest) -> HttpResponse:
    session_of(request).require_real_user()
    if request.method != "POST":
        return page(request, "password.html")
    form = PasswordChangeForm(request.user, request.POST)
    if not form.is_valid():
        return page(request, "password.html", 400, error=error_of(form))
    form.save()  # and EndOtherSessions, a validator, ends the other sessions
    auth.update_session_auth_hash(request, form.user)
    session_of(request).confirm(methods=("pwd",))
    messages.success(request, "The password has changed. All other sessions have ended.")
    return redirect("/")


# -- in another user's name --------------------------------------------------------


@require_POST  # type: ignore[untyped-decorator]  # Django has no types
def act(request: HttpRequest) -> HttpResponse:
    session_of(request).require()
    if not request.user.is_staff:
        return HttpResponse("Only administrators may do this.", status=403)
    session_of(request).require(within=300, method="otp")
    user = get_object_or_404(User, username=request.POST["username"])
    impersonate(request, user, reason=request.POST["reason"])
    return redirect("/")


@require_POST  # type: ignore[untyped-decorator]  # Django has no types
def end_act(request: HttpRequest) -> HttpResponse:
    end_impersonation(request)
    return redirect("/")


# -- signing out -------------------------------------------------------------------


@require_POST  # type: ignore[untyped-decorator]  # Django has no types
def logout(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return redirect("/login")


@require_POST  # type: ignore[untyped-decorator]  # Django has no types
def logout_everywhere(request: HttpRequest) -> HttpResponse:
    session = session_of(request)
    session.require()
    session.require_real_user()
    get_engine().revoke_user(str(request.user.pk))
    auth.logout(request)
    return redirect("/login")


urlpatterns = [
    path("", home),
    path("news", news),
    path("login", login),
    path("code", check_code),
    path("confirm", confirm),
    path("email", email),
    path("password", password),
    path("act", act),
    path("act/end", end_act),
    path("logout", logout),
    path("logout-everywhere", logout_everywhere),
]
app = get_wsgi_application()
