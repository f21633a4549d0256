"""What stands in the place of our session in a scope or environ, and what that means.

An application may put fields there, or nothing, for the session to become that. Another middleware may put
its own session there, and this is told, as ours has no part in it then. All else is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fluidauth.engine.requests import Requests
from fluidauth.errors import PayloadError
from fluidauth.events import Notice, logger

OURS = "fluidauth.session"
"""Where a scope has our session, whatever stands under ``session``."""

# By these alone it is seen that a plain dict in a scope is another's, and none of the application's.
_OTHERS = (
    "beaker.middleware.SessionMiddleware",
    "litestar.middleware.session.base.SessionMiddleware",
    "starlette.middleware.sessions.SessionMiddleware",
    "starsessions.middleware.SessionMiddleware",
)
_NAMES_OF_SESSIONS = ("accessed", "invalidate", "modified", "save")  # which mere fields do not have
_LITESTARS_EMPTY = "litestar.types.empty._EmptyEnum"
_DEEPEST = 100


def full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def layers(app: object) -> Iterator[type]:
    """Yield the class of each layer of *app* from the outside in, as far as they show."""
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
    """Return the full names of the other middlewares for sessions within *app*, as far as they are known."""
    names = []
    for kind in layers(app):
        ancestry = [full_name(each) for each in kind.__mro__]
        if not ancestry[0].startswith("fluidauth.") and not set(_OTHERS).isdisjoint(ancestry):
            names.append(ancestry[0])
    return names


def another_in(found: object, app: object) -> str | None:
    """Return the full name of the middleware within *app* whose session *found* is; None if it is none."""
    kind = type(found)  # and not ``isinstance``: what stands for a session may refuse to be asked anything
    known = others_within(app)
    package = kind.__module__.partition(".")[0]
    if known and issubclass(kind, Mapping):
        return known[-1]
    if any(hasattr(kind, name) for name in _NAMES_OF_SESSIONS) or package in ("beaker", "starsessions"):
        candidates = (*_OTHERS, *known, *(full_name(layer) for layer in layers(app)))
        return next((name for name in candidates if name.startswith(f"{package}.")), full_name(kind))
    return None


def advice_on(name: str) -> str:
    """Return what has happened where *name* keeps sessions in the place of ours, and what to do."""
    return (
        f"{name} stands within fluidauth's middleware and puts a session of its own in the place of ours: "
        "remove it, unless it is for a part of the application that has nothing to do with our sessions"
    )


def tell(requests: Requests, name: str) -> None:
    """Tell once that *name* keeps sessions in the place of ours."""
    if name not in requests.replaced_by:
        requests.replaced_by.add(name)
        logger.warning("%s", advice_on(name))
        requests.report([Notice("session_replaced", name)])


def tell_of_others(requests: Requests, app: object) -> None:
    """Tell of the other middlewares for sessions that are known to stand within *app*."""
    for name in others_within(app):
        tell(requests, name)


def fields_of(found: object, place: str) -> dict[str, Any]:
    """Return the fields that an application put into *place*; none of them for None, or Litestar's ``Empty``.

    Raise :class:`PayloadError` for what has no fields.
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
