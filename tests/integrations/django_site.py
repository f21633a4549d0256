"""A Django application in this process: users in a database, sessions in ours."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings

from fluidauth.keys import new_secret
from tests.integrations.django_common import COMMON

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    SECRET_KEY=new_secret(),
    SESSION_ENGINE="fluidauth.integrations.django",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "fluidauth.integrations.django",
    ],
    MIDDLEWARE=[
        "fluidauth.integrations.django.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    ROOT_URLCONF=__name__,
    STATIC_URL="/static/",
    **COMMON,
)
django.setup()

from django.contrib import admin  # noqa: E402  these need the settings
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.http.response import HttpResponseBase  # noqa: E402
from django.urls import path  # noqa: E402

call_command("migrate", verbosity=0)

handlers: list[Any] = [bool]
"""What the page at ``/`` does with the request; the last one counts."""


def page(request: HttpRequest) -> HttpResponseBase:
    value = handlers[-1](request)
    return value if isinstance(value, HttpResponseBase) else JsonResponse({"value": value})


async def apage(request: HttpRequest) -> HttpResponseBase:
    value = await handlers[-1](request)
    return value if isinstance(value, HttpResponseBase) else JsonResponse({"value": value})


urlpatterns = [path("", page), path("async", apage), path("admin/", admin.site.urls)]
