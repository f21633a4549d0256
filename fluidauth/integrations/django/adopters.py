"""Sessions that another engine of Django's began, adopted: see :mod:`fluidauth.adoption`."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.file import SessionStore as FileStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.db import Error
from django.utils.module_loading import import_string

from fluidauth.adoption import Adopted, Adopter
from fluidauth.errors import StoreError
from fluidauth.formats.cookies import CookieOptions
from fluidauth.records import MAX_LIFETIME

_KEY = re.compile(r"[a-z0-9]{8,40}")  # the characters of Django's keys
AUTH_USER = "_auth_user_id"  # where django.contrib.auth keeps the user's primary key


def user_in(fields: dict[str, Any]) -> str | None:
    """Return the user that ``django.contrib.auth`` signed in, by the engine's user id."""
    user_id = fields.get(AUTH_USER)
    return None if user_id is None else str(user_id)


class DjangoSessions(Adopter):
    """Sessions of *engine*, the former ``SESSION_ENGINE``: in the database, a cache, files or cookies.

    That engine's own ``SessionStore`` reads them, under the current settings. So keep its table, and
    ``django.contrib.sessions`` in ``INSTALLED_APPS``, until ``SESSION_COOKIE_AGE`` has passed.
    """

    name = "django"
    blocks = True

    def __init__(self, engine: str = "django.contrib.sessions.backends.db") -> None:
        self.engine = engine

    @property
    def cookie(self) -> CookieOptions:  # type: ignore[override]  # settings are read when they are there
        name = settings.SESSION_COOKIE_NAME
        return CookieOptions(
            name=name,
            secure=name.startswith("__"),
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
        )

    @property
    def lifetime(self) -> int:  # type: ignore[override]  # as above
        return min(int(settings.SESSION_COOKIE_AGE), MAX_LIFETIME)

    def identity(self, value: str) -> str | None:
        if issubclass(self._store_type, CookieStore):
            return value.rpartition(":")[0] if self.read(value) is not None else None  # all but the signature
        return value if _KEY.fullmatch(value) else None  # a database may compare without regard to case

    def read(self, value: str) -> Adopted | None:
        fields: dict[str, Any] = self._call(lambda store: dict(store.items()), value)
        if not fields:
            return None
        return Adopted(json.loads(json.dumps(fields)), self.user_of(fields))

    def user_of(self, fields: dict[str, Any]) -> str | None:
        return user_in(fields)

    def forget(self, value: str) -> None:
        self._call(lambda store: store.delete(), value)

    def _call(self, function: Any, value: str) -> Any:
        store = self._store_type(value)
        try:
            if isinstance(store, CacheStore):
                _ask_cache(store)
            if isinstance(store, FileStore):
                _ask_file(store)
            return function(store)
        except (Error, OSError, _CacheDown) as error:
            raise StoreError(f"{self.engine} does not answer: {error}") from error

    @property
    def _store_type(self) -> Any:
        return import_string(f"{self.engine}.SessionStore")


class _CacheDown(Exception):
    """A cache that raises. The errors of caches have no common base."""


def _ask_cache(store: Any) -> None:
    """Raise if the cache is out of order, because the session store treats that as an empty session."""
    try:
        store._cache.get(store.cache_key)
    except Exception as error:
        raise _CacheDown(str(error)) from error


def _ask_file(store: Any) -> None:
    """Raise ``OSError`` if the file cannot be read: the session store treats that as an empty session.

    A missing file means no session, if its folder is there.
    """
    try:
        with open(store._key_to_file(), "rb") as file:
            file.read()
    except FileNotFoundError:
        os.stat(store.storage_path)
