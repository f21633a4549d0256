"""The methods of a session, on one of Flask's: each acts on the session of plain JSON behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, TypeVar

from fluidauth.records import Lifetime
from fluidauth.session import Session
from fluidauth.session.impersonation import LIFETIME as IMPERSONATION_LIFETIME
from fluidauth.session.lazydict import LazyDict
from fluidauth.session.notes import Actor
from fluidauth.session.one_time import TTL

from .mirror import Mirror

T = TypeVar("T")


def _of_session(name: str) -> Any:
    """Return a property that asks the session behind."""

    def asked(self: Methods) -> Any:
        self._read()
        return getattr(self._mirror.plain, name)

    return property(asked, doc=getattr(Session, name).__doc__)


class Methods(LazyDict):
    """What a :class:`~fluidauth.Session` does, for a session as Flask documents it."""

    _mirror: Mirror

    user_id: str | None = _of_session("user_id")
    is_authenticated: bool = _of_session("is_authenticated")
    new: bool = _of_session("is_new")
    auth_time: int | None = _of_session("auth_time")
    handle: str | None = _of_session("handle")
    sid: str | None = handle
    methods: dict[str, int] = _of_session("methods")
    actor: Actor | None = _of_session("actor")
    created_at: int | None = _of_session("created_at")
    expires_at: int | None = _of_session("expires_at")
    ends_at: int | None = _of_session("ends_at")

    def _read(self) -> set[str]:
        return self._mirror.read(self)

    def behind(self) -> Session:
        """Return the session of plain JSON, with all changes made so far."""
        self._read()
        self._mirror.flush(self)
        return self._mirror.plain

    def login(
        self,
        user_id: str,
        data: dict[str, Any] | None = None,
        *,
        lifetime: Lifetime | None = None,
        methods: Collection[str] = (),
        cross_site: bool | None = None,
    ) -> None:
        """Do as :meth:`Session.login`. Flask answers its errors, and those of others, as ``abort()``."""
        fields = self._mirror.all_json(data)
        _through(
            self,
            lambda session: session.login(
                user_id, fields, lifetime=lifetime, methods=methods, cross_site=cross_site
            ),
        )

    def regenerate(self) -> None:
        """Do as :meth:`Session.regenerate`."""
        _through(self, Session.regenerate)

    def confirm(self, methods: Collection[str] = ()) -> None:
        """Do as :meth:`Session.confirm`."""
        _through(self, lambda session: session.confirm(methods))

    def keep_only_this(self) -> None:
        """Do as :meth:`Session.keep_only_this`."""
        _through(self, Session.keep_only_this)

    def impersonate(
        self,
        user_id: str,
        reason: str,
        *,
        data: dict[str, Any] | None = None,
        lifetime: int | timedelta = IMPERSONATION_LIFETIME,
    ) -> None:
        """Do as :meth:`Session.impersonate`."""
        fields = self._mirror.all_json(data)
        _replaced(self, lambda session: session.impersonate(user_id, reason, data=fields, lifetime=lifetime))

    def end_impersonation(self) -> None:
        """Do as :meth:`Session.end_impersonation`."""
        _replaced(self, Session.end_impersonation)

    def require_real_user(self) -> None:
        """Do as :meth:`Session.require_real_user`."""
        Methods.behind(self).require_real_user()

    def logout(self) -> None:
        """Do as :meth:`Session.logout`."""
        _emptied(self, Session.logout)

    destroy = logout

    def clear(self) -> None:
        """Do as :meth:`Session.clear`."""
        _emptied(self, Session.clear)

    def add(self, key: str, amount: float = 1) -> None:
        """Do as :meth:`Session.add`."""
        plain = self._mirror.plain
        self._mirror.flush_one(self, key)
        plain.add(key, amount)
        dict.__setitem__(self, key, dict.__getitem__(plain, key))

    def append(self, key: str, item: Any) -> None:
        """Do as :meth:`Session.append`."""
        mirror = self._mirror
        value, items = mirror.json(key, item), self.get(key, [])
        if key not in mirror.appended:  # once: a loop of appends would be quadratic
            mirror.flush_one(self, key)
        mirror.plain.append(key, value)
        mirror.appended.add(key)
        items.append(mirror.python(value))
        dict.__setitem__(self, key, items)

    def require_fresh(self, max_age: int | timedelta) -> None:
        """Do as :meth:`Session.require_fresh`."""
        Methods.behind(self).require_fresh(max_age)

    def require(
        self, within: int | timedelta | None = None, method: str | Collection[str] | None = None
    ) -> None:
        """Do as :meth:`Session.require`. Flask answers its error as ``abort(401)``."""
        Methods.behind(self).require(within, method)

    def issue(
        self, purpose: str, data: Any = None, *, ttl: int | timedelta = TTL, value: str | None = None
    ) -> str:
        """Do as :meth:`Session.issue`."""
        return Methods.behind(self).issue(purpose, data, ttl=ttl, value=value)

    async def aissue(
        self, purpose: str, data: Any = None, *, ttl: int | timedelta = TTL, value: str | None = None
    ) -> str:
        """Do as :meth:`Session.aissue`."""
        await self._mirror.plain.aload()
        return Methods.behind(self).issue(purpose, data, ttl=ttl, value=value)

    def redeem(self, purpose: str, value: object) -> Any:
        """Do as :meth:`Session.redeem`."""
        return Methods.behind(self).redeem(purpose, value)

    async def aredeem(self, purpose: str, value: object) -> Any:
        """Do as :meth:`Session.aredeem`."""
        await self._mirror.plain.aload()
        return await Methods.behind(self).aredeem(purpose, value)

    def csrf_token(self) -> str:
        """Do as :meth:`Session.csrf_token`."""
        return Methods.behind(self).csrf_token()

    def check_csrf_token(self, token: object) -> None:
        """Do as :meth:`Session.check_csrf_token`."""
        Methods.behind(self).check_csrf_token(token)

    @property
    def counts_as_activity(self) -> bool:
        """Whether this request prolongs the session. Set it to False in one that a page makes by itself."""
        return Methods.behind(self).counts_as_activity

    @counts_as_activity.setter
    def counts_as_activity(self, value: bool) -> None:
        Methods.behind(self).counts_as_activity = value

    def extend(self) -> bool:
        """Do as :meth:`Session.extend`."""
        return Methods.behind(self).extend()

    async def aextend(self) -> bool:
        """Do as :meth:`Session.aextend`."""
        await self._mirror.plain.aload()
        return await Methods.behind(self).aextend()

    def set_lifetime(self, lifetime: Lifetime) -> None:
        """Do as :meth:`Session.set_lifetime`. Setting ``permanent`` later overrides it."""
        _through(self, lambda session: session.set_lifetime(lifetime))

    def save(self) -> None:
        """Do as :meth:`Session.save`."""
        _through(self, Session.save)

    async def aload(self) -> None:
        """Do as :meth:`Session.aload`."""
        await self._mirror.plain.aload()

    async def asave(self) -> None:
        """Do as :meth:`Session.asave`."""
        await self._mirror.plain.aload()
        await Methods.behind(self).asave()
        self._mirror.refill(self)


def _through(session: Methods, call: Callable[[Session], object]) -> None:
    """Have *call* change the session of plain JSON, with all changes made so far."""
    call(Methods.behind(session))
    session._mirror.refill(session)


def _replaced(session: Methods, call: Callable[[Session], object]) -> None:
    """Have *call* give the session of plain JSON other fields than it had."""
    call(Methods.behind(session))
    mirror = session._mirror
    mirror.touched = set()
    mirror.refill(session)


def _emptied(session: Methods, call: Callable[[Session], object]) -> None:
    """Have *call* empty the session of plain JSON. Nothing is read for it."""
    mirror = session._mirror
    call(mirror.plain)
    mirror.touched = set()
    mirror.refill(session)
