"""Sessions of several browsers over a long time, step by step beside a plain model of them.

Hypothesis chooses the steps: create, change, log in and out, regenerate, wait, clean,
rotate the secret, and pairs of requests at once. After each step every browser must see
what the model says.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from fluidauth import Session, SessionEngine
from fluidauth.keys import new_secret
from fluidauth.testing import FakeClock
from tests.support import Browser, opened

ABSOLUTE, IDLE = 1_000, 100  # seconds
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.one_of(st.integers(-9, 9), st.text("xyz", max_size=3), st.lists(st.integers(0, 3), max_size=3))


@dataclass
class Model:
    """What one browser's session should be."""

    fields: dict[str, Any] = field(default_factory=dict)
    user: str | None = None
    deadline: int = 0
    expires: int = 0
    exists: bool = False

    def begin(self, now: int) -> None:
        """Start the clocks of a session that begins now."""
        self.exists, self.deadline = True, now + ABSOLUTE
        self.expires = min(now + IDLE, self.deadline)

    def use(self, now: int) -> None:
        """Let a request use the session: it moves the expiry if by a twentieth at least."""
        due = min(now + IDLE, self.deadline)
        if due - self.expires >= IDLE // 20:
            self.expires = due

    def end(self) -> None:
        self.fields, self.user, self.exists = {}, None, False

    def settle(self, now: int) -> None:
        if self.exists and now >= min(self.expires, self.deadline):
            self.end()


class Lives(RuleBasedStateMachine):
    """Browsers on one engine, and a model of each."""

    protocol: Any = "wsgi"
    store = "memory"
    browsers = Bundle("browsers")

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.clock = FakeClock(1_700_000_000)
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.kept = self.stack.enter_context(opened(self.store, folder))
        self.secrets = [new_secret()]
        self.models: dict[int, Model] = {}
        self.visitors: list[Browser] = []
        self.serial = 0
        self.engine = self.build()

    def build(self) -> SessionEngine:
        return SessionEngine(
            self.secrets, self.kept, clock=self.clock, absolute_timeout=ABSOLUTE, idle_timeout=IDLE
        )

    def teardown(self) -> None:
        self.stack.close()

    @initialize(target=browsers)
    def open_browsers(self) -> Any:
        self.visitors = [Browser(self.protocol, self.engine) for _ in range(2)]
        self.models = {number: Model() for number in range(2)}
        return multiple(*range(2))

    # -- one request ---------------------------------------------------------------------

    def now(self) -> int:
        return int(self.clock())

    def ask(self, browser: int, handler: Callable[[Session], Any]) -> Model:
        """Run *handler* in a request; return the model as it stands before the change."""
        model = self.models[browser]
        model.settle(self.now())
        response = self.visitors[browser].request(handler)
        assert response.status == 200
        if model.exists:
            model.use(self.now())
        return model

    @rule(browser=browsers, name=NAMES, value=VALUES)
    def change(self, browser: int, name: str, value: Any) -> None:
        model = self.ask(browser, lambda session: session.update({name: copy.deepcopy(value)}))
        if not model.exists:
            model.begin(self.now())
        model.fields[name] = value

    @rule(browser=browsers, name=NAMES)
    def remove(self, browser: int, name: str) -> None:
        model = self.ask(browser, lambda session: session.pop(name, None))
        if model.fields.pop(name, None) is not None and not model.fields and model.user is None:
            model.end()

    @rule(browser=browsers, amount=st.integers(1, 5))
    def add(self, browser: int, amount: int) -> None:
        model = self.ask(browser, lambda session: session.add("n", amount))
        if not model.exists:
            model.begin(self.now())
        model.fields["n"] = model.fields.get("n", 0) + amount

    @rule(browser=browsers, user=st.sampled_from(["ann", "bob"]))
    def log_in(self, browser: int, user: str) -> None:
        model = self.ask(browser, lambda session: session.login(user))
        if model.user not in (None, user):
            model.fields = {}
        model.user = user
        model.begin(self.now())

    @rule(browser=browsers)
    def log_out(self, browser: int) -> None:
        self.ask(browser, Session.logout).end()

    @rule(browser=browsers)
    def regenerate(self, browser: int) -> None:
        before = self.visitors[browser].twin()
        model = self.ask(browser, Session.regenerate)
        if model.exists:
            assert before.get(dict) == {}  # the old id is dead at once
            model.expires = min(self.now() + IDLE, model.deadline)

    # -- two requests at once --------------------------------------------------------------

    @rule(browser=browsers, mine=NAMES, theirs=NAMES, logout=st.booleans())
    def both(self, browser: int, mine: str, theirs: str, logout: bool) -> None:
        """A request that has read is overtaken by another one with the same cookie."""
        model = self.models[browser]
        model.settle(self.now())
        if not model.exists:
            return
        other = self.visitors[browser].twin()
        self.serial += 1  # writing what is there already is no change
        early, late = f"theirs {self.serial}", f"mine {self.serial}"

        def fast(session: Session) -> None:
            session[theirs] = early
            session.add("n", 2)

        def slow(session: Session) -> None:
            session.get("a")
            if logout:
                other.request(Session.logout)
            else:
                other.request(fast)
            session[mine] = late
            session.add("n", 3)

        self.ask(browser, slow)
        if logout:
            model.end()
            return
        model.fields[theirs] = early
        model.fields[mine] = late
        model.fields["n"] = model.fields.get("n", 0) + 5

    # -- the world -----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 4, 5, 50, 99, 100, 101, 999, 1_000]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        for model in self.models.values():
            model.settle(self.now())

    @rule()
    def clean(self) -> None:
        self.engine.clean()

    @rule()
    def rotate(self) -> None:
        """A new secret signs; the one before still verifies, older ones are gone."""
        for browser in self.models:
            self.visitors[browser].get(dict)  # every cookie and row is under the newest secret
            self.models[browser].use(self.now()) if self.models[browser].exists else None
        self.secrets = [new_secret(), self.secrets[0]]
        self.engine = self.build()
        for number, visitor in enumerate(self.visitors):
            self.visitors[number] = Browser(self.protocol, self.engine)
            self.visitors[number].cookie = visitor.cookie

    @rule(browser=browsers)
    def revoke(self, browser: int) -> None:
        """An administrator ends what the browser holds."""
        handle = self.visitors[browser].get(lambda session: session.handle)
        model = self.models[browser]
        model.settle(self.now())
        assert (handle is not None) == model.exists
        if handle is not None:
            assert self.engine.delete_session(handle)
            model.end()

    # -- what must hold ------------------------------------------------------------------

    @invariant()
    def every_browser_sees_its_model(self) -> None:
        for number, model in self.models.items():
            seen = self.visitors[number].get(lambda s: (s.user_id, dict(s), s.is_new))
            assert seen == (model.user, model.fields, not model.exists)
            if model.exists:
                model.use(self.now())


def machine(protocol: str, store: str) -> Any:
    kind: Any = type(f"Lives_{protocol}_{store}", (Lives,), {"protocol": protocol, "store": store})
    case = kind.TestCase
    case.settings = settings(
        max_examples=60,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    return case


TestMemoryOverWSGI = machine("wsgi", "memory")
TestMemoryOverASGI = machine("asgi", "memory")
TestSQLiteOverWSGI = machine("wsgi", "sqlite")
TestSQLiteOverASGI = machine("asgi", "sqlite")
