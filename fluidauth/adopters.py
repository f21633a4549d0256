"""The former systems of one engine, asked in turn for whom an unknown cookie belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from . import adoption
from .adoption import Adopted, Adopter
from .errors import ConfigError, StoreError
from .policy import Notice, Policy
from .session import CookieSource
from .state import Adoption, State
from .steps import arun, run
from .stores.base import AsyncSessionStore, SessionStore
from .stores.bridge import in_thread


class Found(NamedTuple):
    """What became of the old cookies of a request."""

    state: State | None
    """None if there is none, or none is genuine."""
    notices: list[Notice]


class Adopters:
    """Raise :class:`ConfigError` unless *adopters* is a list of :class:`Adopter`, each of another name."""

    def __init__(self, adopters: Sequence[Adopter]) -> None:
        if not isinstance(adopters, list | tuple) or not all(isinstance(each, Adopter) for each in adopters):
            raise ConfigError("adopt must be a list of adopters, such as StarletteCookie(secret)")
        self._by_name = {each.name: each for each in adopters}
        if len(self._by_name) < len(adopters):
            raise ConfigError("adopt has two adopters of one name; give one of them another")

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def find(self, policy: Policy, store: SessionStore, source: CookieSource, now: int) -> Found:
        """Return the state of the session that an old cookie in *source* stands for."""
        notices: list[Notice] = []
        for adopter, value in adoption.candidates(list(self._by_name.values()), source):
            known = _known(policy, adopter, value, now, notices)
            if known is None:
                continue
            state = run(store, adoption.resume(policy, known, now))
            if state is None:
                state = _begun(known, adopter.read(value), notices)
            if state is not None:
                return Found(state, notices)
        return Found(None, notices)

    async def afind(self, policy: Policy, twin: AsyncSessionStore, source: CookieSource, now: int) -> Found:
        """Do as :meth:`find`, without blocking."""
        notices: list[Notice] = []
        for adopter, value in adoption.candidates(list(self._by_name.values()), source):
            known = _known(policy, adopter, value, now, notices)
            if known is None:
                continue
            state = await arun(twin, adoption.resume(policy, known, now))
            if state is None:
                if adopter.blocks:
                    old = await in_thread(adopter.read, value, thread_sensitive=True)
                else:
                    old = adopter.read(value)
                state = _begun(known, old, notices)
            if state is not None:
                return Found(state, notices)
        return Found(None, notices)

    def forget(self, old: Adoption) -> bool:
        """Let the former system drop what was taken over; say if it could. The new session is stored."""
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
    """Return what is known of the cookie *value*; a forged one is told of, and no store is asked for it."""
    known = adoption.adoption_of(policy, adopter, value, now)
    if known is None:
        notices.append(_REJECTED)
    return known


def _begun(known: Adoption, old: Adopted | None, notices: list[Notice]) -> State | None:
    if old is None:
        notices.append(_REJECTED)
        return None
    return adoption.begin(known, old)


_REJECTED = Notice("cookie_rejected", "old_system")
