"""What stands in the place of our session in a scope or environ, and what that means.

An application may put fields there, or nothing, and the session becomes that. Another middleware may put its
own session there. That is reported, because ours has no effect then. Everything else is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fluidauth.engine.requests import Requests
from fluidauth.errors import PayloadError
from fluidauth.events import Notice, logger

OURS = "fluidauth.session"
"""Where a scope has our session, whatever is under ``session``."""

# Only by these can we see that a plain dict in a scope is another middleware's, and not the application's.
_OTHERS = (
    "beaker.middleware.SessionMiddleware",
    "litestar.middleware.session.base.SessionMiddleware",
    "starlette.middleware.sessions.SessionMiddleware",
    "starsessions.middleware.SessionMiddleware",
)
_NAMES_OF_SESSIONS = ("accessed", "invalidate", "modified", "save")  # a dict of fields does not have these
_LITESTARS_EMPTY = "litestar.types.empty._EmptyEnum"
_DEEPEST = 100


def full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def layers(app: object) -> Iterator[type]:
    """Yield the class of each layer of *app* that can be seen, from the outside in."""
    for _ in range(_DEEPEST):
        if app is None:
            return
        yield type(app)
        for name in ("user_middleware", "middleware"):  # of Starlette, and of Litestar
            added = getattr(app, name, None)
            for each in added if isinstance(added, list | tuple) else ():
                yield _class_of(each)
        app = getattr(app, "app", None)


def _class_of(layer: Any) -> type:
    """Return the class of a *layer* as applications name it; of Litestar's ``SessionAuth`` its sessions'."""
    config = (getattr(layer, "kwargs", None) or {}).get("config")
    layer = getattr(getattr(config, "session_backend_config", None), "middleware", layer)
    kind = getattr(layer, "cls", None) or getattr(layer, "middleware", layer)
    return kind if isinstance(kind, type) else type(kind)


def others_within(app: object) -> list[str]:
    """Return the full names of the other session middlewares within *app* that we know."""
    names = []
    for kind in layers(app):
        ancestry = [full_name(each) for each in kind.__mro__]
        if not ancestry[0].startswith("fluidauth.") and not set(_OTHERS).isdisjoint(ancestry):
            names.append(ancestry[0])
    return names


def another_in(found: object, app: object) -> str | None:
    """Return the full name of the middleware within *app* whose session *found* is; None if it is none."""
    kind = type(found)  # not ``isinstance``: a stand-in for a session may refuse every question
    known = others_within(app)
    package = kind.__module__.partition(".")[0]
    if known and issubclass(kind, Mapping):
        return known[-1]
    if any(hasattr(kind, name) for name in _NAMES_OF_SESSIONS) or package in ("beaker", "starsessions"):
        candidates = (*_OTHERS, *known, *(full_name(layer) for layer in layers(app)))
        return next((name for name in candidates if name.startswith(f"{package}.")), full_name(kind))
    return None


def advice_on(name: str) -> str:
    """Return what has happened if *name* keeps sessions in the place of ours, and what to do."""
    return (
        f"{name} is inside of fluidauth's middleware and replaces our session by its own. Remove it, unless "
        "it is for a part of the application that does not use our sessions"
    )


def tell(requests: Requests, name: str) -> None:
    """Report once that *name* keeps sessions in the place of ours."""
    if name not in requests.replaced_by:
        requests.replaced_by.add(name)
        logger.warning("%s", advice_on(name))
        requests.report([Notice("session_replaced", name)])


def tell_of_others(requests: Requests, app: object) -> None:
    """Report the other session middlewares that we know within *app*."""
    for name in others_within(app):
        tell(requests, name)


def fields_of(found: object, place: str) -> dict[str, Any]:
    """Return the fields that an application put into *place*; no fields for None or Litestar's ``Empty``.

    Raise :class:`PayloadError` for anything that has no fields.
    """
    kind = type(found)
    if found is None or full_name(kind) == _LITESTARS_EMPTY:
        return {}
    if isinstance(found, Mapping):
        return found if type(found) is dict else dict(found)
    raise PayloadError(
        f"{place} was set to a {full_name(kind)}, which is no session: put a dict of JSON values there, or "
        "None to clear the session"
    )
