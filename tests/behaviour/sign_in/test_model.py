"""Who is signed in, how and in whose name, step by step beside a plain model of it.

Hypothesis chooses the steps: logins, confirmations, new ids, impersonation and its end, logouts, time that
passes, requests that fail, and copies of old cookies. After each step the browser must see the user, the
methods and the actor that the model says, and no old cookie may open anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fluidauth import MemoryStore, Session, SessionEngine
from fluidauth.errors import Refusal
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.support import Browser

USERS = st.sampled_from(["ada", "bob", "cy"])
METHODS = st.lists(st.sampled_from(["pwd", "otp", "hwk"]), max_size=2, unique=True).map(tuple)
ACTS_FOR = 100  # seconds


@dataclass
class Model:
    """Who really authenticated, and in whose name that user acts."""

    user: str | None = None
    methods: dict[str, int] = field(default_factory=dict)
    auth_time: int | None = None
    acts_for: str | None = None
    until: int = 0

    def settle(self, now: int) -> None:
        if self.acts_for is not None and now >= self.until:
            self.acts_for = None

    def seen(self) -> tuple[Any, ...]:
        if self.acts_for is not None:
            return self.acts_for, self.user, {}, None
        return self.user, None, self.methods, self.auth_time


def seen(session: Session) -> tuple[Any, ...]:
    actor = session.actor
    return session.user_id, actor and actor.user_id, session.methods, session.auth_time


class SignedIn(RuleBasedStateMachine):
    """One browser through one protocol."""

    protocol: Any = "wsgi"

    @initialize(user_key=st.sampled_from([None, "uid"]))
    def begin(self, user_key: str | None) -> None:
        self.clock = FakeClock()
        engine = SessionEngine(
            new_secret(),
            MemoryStore(),
            clock=self.clock,
            user_key=user_key,
            idle_timeout=None,
            absolute_timeout=10**7,
        )
        self.user_key = user_key
        self.browser, self.model = Browser(self.protocol, engine), Model()
        self.old: set[str] = set()

    def step(self, call: Callable[[Session], Any], status: int = 200) -> Any:
        """Run *call* in a request; return its refusal, if there is one."""
        before = self.browser.cookie

        def handler(session: Session) -> Any:
            try:
                call(session)
            except Refusal as error:
                return type(error)
            return None

        response = self.browser.request(handler, status=status)
        if before is not None and before != self.browser.cookie:
            self.old.add(before)
        self.model.settle(int(self.clock.now))
        return response.value

    @rule(user=USERS, methods=METHODS)
    def login(self, user: str, methods: tuple[str, ...]) -> None:
        assert self.step(lambda session: session.login(user, methods=methods)) is None
        now = int(self.clock.now)
        self.model = Model(user, dict.fromkeys(methods, now), now)

    @precondition(lambda self: self.user_key is not None)
    @rule(user=USERS)
    def login_by_field(self, user: str) -> None:
        named: list[Any] = []
        self.step(lambda session: named.append(session.get(self.user_key or "")))
        self.model.settle(int(self.clock.now))
        self.step(lambda session: session.update({self.user_key: user}))
        if named != [user]:  # writing the same name again is no login
            self.model = Model(user, {}, int(self.clock.now))

    @rule(methods=METHODS)
    def confirm(self, methods: tuple[str, ...]) -> None:
        error = self.step(lambda session: session.confirm(methods))
        assert (error is None) == (self.model.user is not None and self.model.acts_for is None)
        if error is None:
            now = int(self.clock.now)
            self.model.auth_time = now
            self.model.methods.update(dict.fromkeys(methods, now))

    @rule(user=USERS)
    def impersonate(self, user: str) -> None:
        model = self.model
        if model.user is None or model.acts_for is not None or user == model.user:
            return
        error = self.step(lambda session: session.impersonate(user, "a reason", lifetime=ACTS_FOR))
        assert error is None
        model.acts_for, model.until = user, int(self.clock.now) + ACTS_FOR

    @rule()
    def impersonate_again(self) -> None:
        if self.model.acts_for is not None or self.model.user is None:
            assert self.step(lambda session: session.impersonate("dee", "a reason")) is not None

    @rule()
    def end_impersonation(self) -> None:
        error = self.step(Session.end_impersonation)
        assert (error is None) == (self.model.acts_for is not None)
        self.model.acts_for = None

    @rule()
    def regenerate(self) -> None:
        self.step(Session.regenerate)

    @rule()
    def logout(self) -> None:
        self.step(Session.logout)
        self.model = Model()

    @rule(call=st.sampled_from([Session.logout, Session.end_impersonation, Session.regenerate]))
    def fail(self, call: Any) -> None:
        """A request that fails keeps its logout, and nothing else."""
        self.step(call, status=500)
        if call is Session.logout:
            self.model = Model()

    @rule(name=st.sampled_from(["acting", "actor", "amr", "user", "methods"]))
    def write(self, name: str) -> None:
        self.step(lambda session: session.update({name: ["cy", "x", 0, 2**40, "0" * 64]}))

    @rule(seconds=st.sampled_from([1, 50, ACTS_FOR]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.settle(int(self.clock.now))

    @rule()
    def read(self) -> None:
        self.step(len)

    @invariant()
    def is_seen(self) -> None:
        if not hasattr(self, "browser"):
            return
        found: list[Any] = []
        self.step(lambda session: found.append(seen(session)))  # it may go back to the own session by that
        assert found == [self.model.seen()]

    @invariant()
    def no_old_cookie_opens_more(self) -> None:
        """A copied cookie opens nothing, but for the own session of who acts in another's name."""
        if not hasattr(self, "browser"):
            return
        for cookie in self.old - {self.browser.cookie}:
            user, actor, *_ = self.browser.with_cookie(cookie).get(seen)
            assert user is None or (user == self.model.user and actor is None)
            assert user is None or self.model.acts_for is not None


class SignedInASGI(SignedIn):
    protocol = "asgi"


for _machine in (SignedIn, SignedInASGI):
    _machine.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestWSGI = SignedIn.TestCase
TestASGI = SignedInASGI.TestCase
