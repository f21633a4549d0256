"""Keep secrets out of tracebacks that show local variables, and out of pickles."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def without_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Return *function* with errors that show no local variable of it or of what it called (CWE-209).

    Error reporters send the local variables of every frame, and the arguments here are secrets.
    """
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            except Exception as error:
                clear_frames(error)
                del args, kwargs
                raise

        return awaited  # type: ignore[return-value]  # T is an awaitable

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            clear_frames(error)
            del args, kwargs
            raise

    return called


def clear_frames(error: BaseException | None) -> None:
    """Empty the frames that *error* and its causes passed. Frames that still run are left."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


class HoldsSecrets:
    """Base of what must not leave the process: a cache or a pool of workers never gets a copy."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled or copied: it holds secrets")
