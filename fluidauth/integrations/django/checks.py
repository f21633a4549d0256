"""System checks: settings that are wrong or weak, reported before the first request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from fluidauth.engine.development import is_on
from fluidauth.errors import ConfigError, StoreError

from .configuration import build_engine
from .middleware import SessionMiddleware

_ENGINE = "fluidauth.integrations.django"
_MIDDLEWARE = f"{_ENGINE}.middleware.SessionMiddleware"
_KEEPERS = ("allauth.usersessions", "hitcount", "admin_honeypot", "djangocms_history")
"""Packages that keep ``session_key`` in tables, as their released sources show."""


def check_settings(app_configs: Any = None, **others: Any) -> list[checks.CheckMessage]:
    """Return what is wrong; nothing if another session engine is in use."""
    if settings.SESSION_ENGINE != _ENGINE:
        return [
            checks.Warning(
                f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}, so fluidauth keeps no session.",
                hint=f"Set SESSION_ENGINE = {_ENGINE!r}.",
                id="fluidauth.W001",
            )
        ]
    return [*_of_engine(), *_of_development(), *_of_serializer(), *_of_keys()]


def _of_engine() -> Iterator[checks.CheckMessage]:
    try:
        build_engine(connect="eager").close()
    except (ConfigError, ImportError) as error:
        yield checks.Error(str(error), id="fluidauth.E001")
    except StoreError as error:
        yield checks.Error(f"The store cannot be opened: {error}", id="fluidauth.E002")


def _of_development() -> Iterator[checks.CheckMessage]:
    options = getattr(settings, "FLUIDAUTH", {})
    try:
        development = is_on(options.get("development"))
    except (AttributeError, ConfigError):  # reported by the engine
        return
    if development and not _has_middleware():
        yield checks.Error(
            "Development mode serves only this machine, and fluidauth's SessionMiddleware, which checks "
            "where a request comes from, is not in MIDDLEWARE.",
            hint=f"Put {_MIDDLEWARE!r} in the place of Django's.",
            id="fluidauth.E004",
        )


def _of_keys() -> Iterator[checks.CheckMessage]:
    if _has_middleware():
        if _is_installed("allauth.headless") and "app" in getattr(settings, "HEADLESS_CLIENTS", ("app",)):
            yield checks.Warning(
                "allauth.headless gives apps the session_key as a secret, but it opens nothing here.",
                hint="Set HEADLESS_CLIENTS = ('browser',), or use Django's own SessionMiddleware.",
                id="fluidauth.W004",
            )
        return
    yield checks.Warning(
        "fluidauth's SessionMiddleware is not in MIDDLEWARE. So session_key is the secret that opens the "
        "session: it has 66 characters and changes when secrets rotate. A failing store is a 500, not a 503.",
        hint=f"Put {_MIDDLEWARE!r} in the place of Django's.",
        id="fluidauth.W002",
    )
    for name in filter(_is_installed, _KEEPERS):
        yield checks.Warning(
            f"{name} keeps session_key, which is the secret that opens the session, and too long for Django.",
            hint=f"Put {_MIDDLEWARE!r} in MIDDLEWARE: then it keeps a public key. Empty its table, too.",
            id="fluidauth.W003",
        )


def _has_middleware() -> bool:
    for path in settings.MIDDLEWARE:
        try:
            found = import_string(path)
        except ImportError:  # Django says so itself
            continue
        if isinstance(found, type) and issubclass(found, SessionMiddleware):
            return True
    return False


def _is_installed(name: str) -> bool:
    return any(each == name or each.startswith(f"{name}.") for each in settings.INSTALLED_APPS)


def _of_serializer() -> Iterator[checks.CheckMessage]:
    try:
        text = import_string(settings.SESSION_SERIALIZER)().dumps({"a": [1]})
        is_json = bytes(text).lstrip()[:1] == b"{"
    except (ImportError, AttributeError, TypeError, ValueError):
        is_json = False
    if not is_json:
        yield checks.Error(
            f"SESSION_SERIALIZER is {settings.SESSION_SERIALIZER!r}, which does not write JSON.",
            hint="Leave it out, or name a subclass of django.core.signing.JSONSerializer.",
            id="fluidauth.E003",
        )
