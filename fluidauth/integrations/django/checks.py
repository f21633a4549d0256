"""System checks: settings that are wrong or weak, told before the first request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from fluidauth.errors import ConfigError, StoreError

from .configuration import build_engine

_ENGINE = "fluidauth.integrations.django"


def check_settings(app_configs: Any = None, **others: Any) -> list[checks.CheckMessage]:
    """Return what is wrong; nothing where another session engine is in use."""
    if settings.SESSION_ENGINE != _ENGINE:
        return [
            checks.Warning(
                f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}, so fluidauth keeps no session.",
                hint=f"Set SESSION_ENGINE = {_ENGINE!r}.",
                id="fluidauth.W001",
            )
        ]
    return [*_of_engine(), *_of_serializer()]


def _of_engine() -> Iterator[checks.CheckMessage]:
    try:
        build_engine(connect="eager").close()
    except (ConfigError, ImportError) as error:
        yield checks.Error(str(error), id="fluidauth.E001")
    except StoreError as error:
        yield checks.Error(f"The store cannot be opened: {error}", id="fluidauth.E002")


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
