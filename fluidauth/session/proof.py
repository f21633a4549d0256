"""How a user authenticated, and whether that is enough for what a page demands."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from fluidauth.errors import FreshLoginRequired, ImpersonationError, Refusal

AS_OTHER = "somebody acts in this user's name, and this needs the user; end the impersonation first"
_METHOD = re.compile(r"[A-Za-z0-9._:/+-]{1,64}")
_MOST_METHODS = 16


class Proof(NamedTuple):
    """Who is signed in, since when and by what."""

    user_id: str | None
    auth_time: int | None
    """Unix seconds; None if nobody knows."""
    methods: Mapping[str, int]
    """Each method, and when it was used last, in Unix seconds."""
    acted: bool
    """Whether somebody else acts in the user's name, who did not authenticate as the user."""

    def lacks(
        self, now: int, limit: int | None, wanted: tuple[str, ...], page: Callable[[], str | None]
    ) -> Refusal | None:
        """Return the error unless the user authenticated at most *limit* seconds ago, by one of *wanted*.

        *page* returns where the visitor is asked to.
        """
        demands = bool(wanted) or limit is not None
        if self.acted and demands:
            return ImpersonationError(AS_OTHER)
        if self.user_id is not None and (not demands or self._is_enough(now, limit, wanted)):
            return None
        return FreshLoginRequired(self._demand(limit, wanted), limit, wanted, page())

    def _is_enough(self, now: int, limit: int | None, wanted: tuple[str, ...]) -> bool:
        at = self.auth_time
        if wanted:
            at = max((self.methods[each] for each in wanted if each in self.methods), default=None)
        return at is not None and (limit is None or now - at <= limit)

    def _demand(self, limit: int | None, wanted: tuple[str, ...]) -> str:
        if limit is None and not wanted:
            return "nobody is signed in, and this needs a user"
        by = f" by {' or '.join(wanted)}" if wanted else ""
        return f"this needs a login{by}" + ("" if limit is None else f" within the last {limit} seconds")


def demanded(method: str | Collection[str] | None) -> tuple[str, ...]:
    """Return the methods of which a page wants one, none if it did not say so. Raise as :func:`checked`.

    An empty list would demand nothing, though its author meant to.
    """
    if method is None:
        return ()
    wanted = checked((method,) if isinstance(method, str) else method)
    if not wanted:
        raise ValueError(f"method={method!r} names no method; leave it out if any login will do")
    return wanted


def checked(methods: object) -> tuple[str, ...]:
    """Return *methods*; raise ``TypeError`` or ``ValueError`` unless they are names, such as ``pwd``."""
    if isinstance(methods, str) or not isinstance(methods, Collection):
        raise TypeError(f"methods={methods!r} must be a tuple, such as ('pwd', 'otp')")
    for each in methods:
        if not isinstance(each, str):
            raise TypeError(f"a method of authentication must be text, not {type(each).__name__}")
        if not _METHOD.fullmatch(each):
            raise ValueError(f"{each!r} is no name of a method, such as 'pwd' (RFC 8176)")
    if len(methods) > _MOST_METHODS:
        raise ValueError(f"{len(methods)} methods of authentication are more than {_MOST_METHODS}")
    return tuple(methods)
