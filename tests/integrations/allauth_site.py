"""A site with django-allauth's list of devices, visited by a few browsers; prints what they saw, as JSON.

python -m tests.integrations.allauth_site <the session middleware>
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django
from django.conf import settings

from fluidauth import MemoryStore
from fluidauth.keys import new_secret
from tests.integrations.django_common import COMMON

OLD, NEW = new_secret(), new_secret()
STORE = MemoryStore()
PASSWORD = "for this test"

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    SECRET_KEY=new_secret(),
    SESSION_ENGINE="fluidauth.integrations.django",
    FLUIDAUTH={"store": STORE, "secret": OLD},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.humanize",
        "allauth",
        "allauth.account",
        "allauth.usersessions",
        "fluidauth.integrations.django",
    ],
    MIDDLEWARE=[
        sys.argv[1],
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
        "allauth.usersessions.middleware.UserSessionsMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    ACCOUNT_LOGIN_METHODS={"username"},
    ACCOUNT_EMAIL_VERIFICATION="none",
    ACCOUNT_RATE_LIMITS=False,
    USERSESSIONS_TRACK_ACTIVITY=True,
    LOGIN_REDIRECT_URL="/",
    ROOT_URLCONF=__name__,
    **COMMON,
)
django.setup()

from allauth.usersessions.models import UserSession  # noqa: E402  these need the settings
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import include, path  # noqa: E402


def home(request: HttpRequest) -> HttpResponse:
    """Tell who is signed in, and of each device in the list whether it lives and whether it is this one."""
    rows = list(UserSession.objects.order_by("pk"))
    return JsonResponse(
        {
            "user": request.user.get_username(),
            "lives": [row.exists() for row in rows],
            "is here": [row.is_current() for row in rows],
        }
    )


urlpatterns = [path("", home), path("accounts/", include("allauth.urls"))]


def browser(name: str = "ada") -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": name, "password": PASSWORD})
    return client


def keys() -> list[str]:
    return [row.session_key for row in UserSession.objects.order_by("pk")]


def cookie(client: Client) -> str:
    value: str = client.cookies["sessionid"].value
    return value


def visits() -> dict[str, Any]:
    seen: dict[str, Any] = {}
    first, second = browser(), browser()
    seen["two devices"] = first.get("/").json()
    seen["keys"] = keys()
    seen["cookies"] = [cookie(first), cookie(second)]
    # Of SECRET_KEY Django itself makes new keys: the hashes of passwords in sessions depend on it.
    with override_settings(FLUIDAUTH={"store": STORE, "secret": [NEW, OLD]}):
        second.get("/")
        seen["keys after a rotation"] = keys()
        seen["cookie after a rotation"] = cookie(second)
        browser("bob")
        third = browser()
        seen["three devices of hers, one of his"] = third.get("/").json()
        seen["page"] = third.get("/accounts/sessions/").status_code
        thief = Client()
        thief.cookies["sessionid"] = keys()[0]
        seen["thief"] = thief.get("/").json()["user"]
        third.post("/accounts/sessions/")  # ends the others
        seen["after the others were ended"] = [
            each.get("/").json()["user"] for each in (first, second, third)
        ]
        seen["rows then"] = UserSession.objects.filter(user__username="ada").count()
    return seen


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    for each in ("ada", "bob"):
        User.objects.create_user(each, password=PASSWORD)
    print(json.dumps(visits()))
