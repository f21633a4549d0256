"""The former systems of one engine. Each is asked in turn whose an unknown cookie is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fluidauth.adoption import Adopted, Adopter
from fluidauth.concurrency import in_thread
from fluidauth.errors import ConfigError, PayloadError, StoreError
from fluidauth.events import Notice, logger
from fluidauth.formats import tokens
from fluidauth.formats.cookies import CookieSource
from fluidauth.operations import adopt, adoption_period
from fluidauth.operations.runner import Steps, arun, run
from fluidauth.rules.policy import Policy
from fluidauth.rules.user_fields import user_in
from fluidauth.secrecy import without_locals
from fluidauth.session.state import State
from fluidauth.session.wish import Adoption
from fluidauth.stores.base import AsyncSessionStore, SessionStore


class Found(NamedTuple):
    """What was found under the old cookies of a request."""

    state: State | None
    """None if there is none, or none is genuine."""
    notices: list[Notice]


class AdopterList:
    """The former systems of one engine.

    Raise :class:`ConfigError` unless *adopters* is a list of :class:`Adopter`, each with its own name.
    """

    def __init__(self, adopters: Sequence[Adopter], until: datetime | None = None) -> None:
        if not isinstance(adopters, list | tuple) or not all(isinstance(each, Adopter) for each in adopters):
            raise ConfigError("adopt must be a list of adopters, such as StarletteCookie(secret)")
        self._by_name = {each.name: each for each in adopters}
        if len(self._by_name) < len(adopters):
            raise ConfigError("adopt has two adopters of the same name; give one of them another name")
        if until is not None and (not isinstance(until, datetime) or until.tzinfo is None):
            raise ConfigError(f"adopt_until={until!r} must be a datetime with a time zone")
        self._until = None if until is None else int(until.timestamp())
        self._told: int | None = None
        """Until when sessions are adopted, as the log says; None before the store was asked."""

    @property
    def cookie_names(self) -> tuple[str, ...]:
        """The names of the cookies that are adopted."""
        return tuple({each.cookie.name for each in self._by_name.values()})

    def __bool__(self) -> bool:
        return bool(self._by_name)

    @without_locals
    def find(self, policy: Policy, store: SessionStore, source: CookieSource, now: int) -> Found:
        """Return the state of the session that an old cookie in *source* stands for."""
        notices: list[Notice] = []
        for adopter, value in adopt.candidates(list(self._by_name.values()), source):
            known = _known(policy, adopter, value, now, notices)
            if known is None:
                continue
            state = run(store, self._resume(policy, known, now))
            if state is None:
                state = run(store, _begin(policy, known, adopter.read(value), now, notices))
            if state is not None:
                return Found(state, notices)
        return Found(None, notices)

    @without_locals
    async def afind(self, policy: Policy, twin: AsyncSessionStore, source: CookieSource, now: int) -> Found:
        """Do as :meth:`find`, without blocking."""
        notices: list[Notice] = []
        for adopter, value in adopt.candidates(list(self._by_name.values()), source):
            known = _known(policy, adopter, value, now, notices)
            if known is None:
                continue
            state = await arun(twin, self._resume(policy, known, now))
            if state is None:
                if adopter.blocks:
                    old = await in_thread(adopter.read, value, thread_sensitive=True)
                else:
                    old = adopter.read(value)
                state = await arun(twin, _begin(policy, known, old, now, notices))
            if state is not None:
                return Found(state, notices)
        return Found(None, notices)

    def presented(self, policy: Policy, source: CookieSource, now: int) -> list[Adoption]:
        """Return what the genuine old cookies in *source* name; no store is asked."""
        found: dict[str, Adoption] = {}
        for adopter, value in adopt.candidates(list(self._by_name.values()), source):
            is_ours = isinstance(tokens.verify(policy.keyring, value), tuple)
            known = None if is_ours else adopt.adoption_of(policy, adopter, value, now)
            if known is not None:
                found.setdefault(known.marker, known)
        return list(found.values())

    def _resume(self, policy: Policy, known: Adoption, now: int) -> Steps[State | None]:
        """Return what was adopted before; nobody if no session is adopted any more, None if it may be now."""
        began = yield from adoption_period.begin(policy, now, self._told is None)
        if not self._is_open(began, now):
            return State()
        return (yield from adopt.resume(policy, known, now))

    def _is_open(self, began: int, now: int) -> bool:
        """Return whether sessions are still adopted, if the first was at *began*; log once until when."""
        until: int = began + max(each.lifetime for each in self._by_name.values())
        if began and self._until is not None:
            until = self._until
        if until != self._told and not began:
            self._told = until
            logger.warning(
                "sessions of %s are not adopted any more. Either their adoption was ended here, or it began "
                "under a secret that is missing now: then put it behind the new one in FLUIDAUTH_SECRETS",
                ", ".join(self._by_name),
            )
        elif until != self._told:
            self._told = until
            moment = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M UTC")
            logger.warning(
                "sessions of %s are adopted until %s. Until then anyone who has their secret can sign in as "
                "any user; adopt_until= ends that sooner",
                ", ".join(self._by_name),
                moment,
            )
        return now < until

    def user_of(self, fields: dict[str, Any]) -> str | None:
        """Return the user who is signed in by *fields*, as the first former system says that knows."""
        found = (each.user_of(fields) for each in self._by_name.values())
        return next((user_id for user_id in found if user_id is not None), None)

    def forget(self, old: Adoption) -> bool:
        """Let the former system drop what was adopted; return if it did. The new session is stored."""
        if not old.taken:
            try:
                self._by_name[old.name].forget(old.value)
            except StoreError:
                return False
        return True

    async def aforget(self, old: Adoption) -> bool:
        """Do as :meth:`forget`, without blocking."""
        return await in_thread(self.forget, old, thread_sensitive=True)


def _known(policy: Policy, adopter: Adopter, value: str, now: int, notices: list[Notice]) -> Adoption | None:
    """Return what is known of the cookie *value*. A forged one is reported, and no store is asked for it."""
    known = adopt.adoption_of(policy, adopter, value, now)
    if known is None:
        notices.append(_REJECTED)
    return known


def _begin(
    policy: Policy, known: Adoption, old: Adopted | None, now: int, notices: list[Notice]
) -> Steps[State | None]:
    """Return the state of *old*, to be adopted, unless its user's sessions were ended meanwhile."""
    if old is None:
        notices.append(_REJECTED)
        return None
    try:
        if old.user_id is None and policy.user_of is not None:
            old = old._replace(user_id=user_in(policy.user_of, old.fields))
        if old.user_id is not None and (yield from adoption_period.is_barred(policy, old.user_id, now)):
            notices.append(_REJECTED)
            return None
        state = adopt.begin(known, old)
    except (PayloadError, TypeError, ValueError):  # no JSON, or no user id
        notices.append(Notice("cookie_rejected", "unstorable"))
        return None
    if not adopt.fits(policy, state, now):
        notices.append(Notice("cookie_rejected", "too_large"))
        return None
    return state


_REJECTED = Notice("cookie_rejected", "old_system")
