"""The session that our middleware hands out. Its key may be kept, because it is not the cookie's value."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.contrib.sessions.backends.base import UpdateError

from fluidauth.engine.visit import Visit
from fluidauth.errors import SessionClosed, StoreError
from fluidauth.rules.loading import identify_token

from .base import StoredSession
from .configuration import get_engine
from .keys import handle_in, key_of
from .serving import remember, token_behind

_NO_HEAD = "a new id needs a Set-Cookie header, but the response head was sent already"


class RequestSession(StoredSession):
    """Mixed into the ``SessionStore`` in use: ``session_key`` is public, ``_session_key`` opens the session.

    ``type(request.session)(request.session.session_key)``, as in django-allauth, is the same session.
    """

    accessed: bool
    _from_cookie = False
    """Whether this was made from the request's cookie, which is never treated as a public key."""
    _head_left = False
    """Whether the response has begun, so that no cookie can be sent any more."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(token_behind(session_key))

    @property
    def _is_named(self) -> bool:
        return not self._from_cookie and super()._is_named

    @property
    def session_key(self) -> str | None:  # type: ignore[override]  # Django assigns a property
        """The public key; None if there is none yet.

        A login that is not saved yet is saved first, because it changes the key, and packages note the key
        at a login.
        """
        if self._modified and self._logs_in:
            with suppress(UpdateError):  # the response will report it
                self.save()
        token = self._session_key
        if token is None or self._is_named:
            return token
        state = None if self._visit is None else self._visit.state
        if state is not None and state.record is not None and state.credential is None:
            return key_of(state.record.handle)  # another request renewed it; its response has the token
        found, _ = identify_token(get_engine().policy, token)
        if not found:
            return None
        key = key_of(found[0].handle)
        remember(key, token)
        return key

    @property
    def modified(self) -> bool:
        return super().modified

    @modified.setter
    def modified(self, value: bool) -> None:
        if value and self._head_left and self._session_key is None:
            raise SessionClosed(_NO_HEAD)
        self._modified = value

    def cycle_key(self) -> None:
        self._check_head()
        super().cycle_key()

    async def acycle_key(self) -> None:
        self._check_head()
        await super().acycle_key()

    def _check_head(self) -> None:
        if self._head_left:
            raise SessionClosed(_NO_HEAD)

    def _loaded(self, visit: Visit) -> dict[str, Any]:
        state = visit.state
        if self._head_left and state is not None and state.wish.leaves is not None:
            state.leave_later()
        return super()._loaded(visit)

    def _get_session(self, no_load: bool = False) -> dict[str, Any]:
        """Do as Django, but ask ``_session_key``: a cookie of a former engine has no public key yet."""
        self.accessed = True
        if not hasattr(self, "_session_cache"):
            self._session_cache = {} if self._session_key is None or no_load else self.load()
        return self._session_cache

    async def _aget_session(self, no_load: bool = False) -> dict[str, Any]:
        self.accessed = True
        if not hasattr(self, "_session_cache"):
            self._session_cache = {} if self._session_key is None or no_load else await self.aload()
        return self._session_cache

    _session = property(_get_session)


def followed(session: RequestSession, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *chunks*, the body of a response; then save what *session* became meanwhile."""
    try:
        yield from chunks
    except Exception:  # not for a client that leaves, which ends the generator
        session.modified = False
        raise
    finally:
        if session.modified:
            with suppress(UpdateError, StoreError):  # events report both
                session.save()


async def afollowed(session: RequestSession, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Do as :func:`followed`, without blocking."""
    try:
        async for chunk in chunks:
            yield chunk
    except Exception:
        session.modified = False
        raise
    finally:
        if session.modified:
            with suppress(UpdateError, StoreError):
                await session.asave()


def value_for_cookie(session: Any, value: str) -> str | None:
    """Return what the cookie must carry instead of Django's *value*; None if this request has not got it."""
    if not isinstance(session, RequestSession) or value != session.session_key:
        return value
    token: str | None = session._session_key
    return None if handle_in(token) else token
