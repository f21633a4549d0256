"""Settings for Django's own tests, with fluidauth's sessions in the place of those in the database."""

from __future__ import annotations

import os

import django.contrib.sessions.backends.cached_db  # first: it stays as it is
import django.contrib.sessions.backends.db
import django.contrib.sessions.middleware

from fluidauth import MemoryStore
from fluidauth.integrations.django import SessionStore
from fluidauth.integrations.django.middleware import SessionMiddleware
from fluidauth.keys import new_secret

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3"},
    "other": {"ENGINE": "django.db.backends.sqlite3"},
}
SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
FLUIDAUTH = {"secret": new_secret(), "store": MemoryStore()}  # theirs is too weak


class Canary(SessionStore):
    def create(self) -> None:
        raise AssertionError("the canary")

    async def acreate(self) -> None:
        raise AssertionError("the canary")


if os.environ["FLUIDAUTH_MIDDLEWARE"] == "ours":
    django.contrib.sessions.middleware.SessionMiddleware = SessionMiddleware
chosen = Canary if os.environ["FLUIDAUTH_CANARY"] else SessionStore
django.contrib.sessions.backends.db.SessionStore = chosen
