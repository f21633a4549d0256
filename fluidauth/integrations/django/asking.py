"""How a session of Django's asks the store: it remembers a failure, and the error shows no key."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fluidauth.errors import ConfigError, StoreError
from fluidauth.secrecy import without_locals

from .configuration import get_engine
from .serving import is_unseen

P = ParamSpec("P")
T = TypeVar("T")


def asks_store(method: Callable[P, T]) -> Callable[P, T]:
    """Return *method*, which notes in ``_failed`` of its session whether the store failed this time.

    Its errors show no local variables, because these are keys that open sessions.
    """
    return without_locals(_noting(method))


def _check_served() -> None:
    """Raise :class:`ConfigError` in development mode if nothing checks where requests come from."""
    if get_engine().development and is_unseen():
        raise ConfigError(
            "development mode serves only this machine, and only fluidauth's SessionMiddleware can check "
            "where a request comes from: put it into MIDDLEWARE in the place of Django's"
        )


def _noting(method: Callable[P, T]) -> Callable[P, T]:
    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def awaited(session: Any, *args: Any, **kwargs: Any) -> Any:
            _check_served()
            try:
                answer = await method(session, *args, **kwargs)
            except StoreError:
                session._failed = True
                raise
            session._failed = False
            return answer

        return awaited  # type: ignore[return-value]  # T is an awaitable

    @wraps(method)
    def asked(session: Any, *args: Any, **kwargs: Any) -> Any:
        _check_served()
        try:
            answer = method(session, *args, **kwargs)
        except StoreError:
            session._failed = True
            raise
        session._failed = False
        return answer

    return asked  # type: ignore[return-value]  # P begins with the session
