"""Sessions that another engine of Django's began, taken over: see :mod:`fluidauth.adoption`."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.utils.module_loading import import_string

from ...adoption import Adopted, Adopter
from ...cookies import CookieOptions
from ...errors import StoreError
from ...records import MAX_LIFETIME

AUTH_USER = "_auth_user_id"  # where django.contrib.auth keeps the user's primary key


class DjangoSessions(Adopter):
    """Sessions of *engine*, the former ``SESSION_ENGINE``: in the database, a cache, files or cookies.

    They are read by that engine's own ``SessionStore``, under the settings that are in force: keep its
    table, and ``django.contrib.sessions`` in ``INSTALLED_APPS``, until ``SESSION_COOKIE_AGE`` has passed.
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

    def read(self, value: str) -> Adopted | None:
        fields: dict[str, Any] = self._call(lambda store: dict(store.items()), value)
        if not fields:
            return None
        user_id = fields.get(AUTH_USER)
        return Adopted(json.loads(json.dumps(fields)), None if user_id is None else str(user_id))

    def forget(self, value: str) -> None:
        self._call(lambda store: store.delete(), value)

    def _call(self, function: Any, value: str) -> Any:
        store = import_string(f"{self.engine}.SessionStore")(value)
        try:
            return function(store)
        except DatabaseError as error:
            raise StoreError(f"{self.engine} does not answer: {error}") from error
