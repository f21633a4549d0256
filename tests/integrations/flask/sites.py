"""A site of Flask, and the same in Quart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import flask
import flask_login
import quart

from fluidauth import SessionEngine
from fluidauth.integrations.flask import FluidAuthSessionInterface as FlaskInterface
from fluidauth.integrations.flask import session as flask_session
from fluidauth.integrations.quart import FluidAuthSessionInterface as QuartInterface
from fluidauth.integrations.quart import session as quart_session

Handler = Callable[[Any], Any]


class FlaskSite:
    """One page of a Flask application, and a browser on it."""

    def __init__(self, engine: SessionEngine | None = None, *, store: Any = None, **config: Any) -> None:
        self.app: Any = self.make_app()
        self.app.config.update(config)
        self.interface = self.interface_of(engine, store)
        self.app.session_interface = self.interface
        self.app.add_url_rule("/", view_func=self.page_of())
        self.client: Any = self.app.test_client()
        self.handler: Handler = bool
        self.value: Any = None

    def make_app(self) -> Any:
        return flask.Flask(__name__)

    def interface_of(self, engine: SessionEngine | None, store: Any) -> Any:
        return FlaskInterface(engine, store=store)

    def page_of(self) -> Any:
        def page() -> Any:
            self.value = self.handler(flask_session)
            return "page" if not isinstance(self.value, tuple) else self.value

        return page

    def get(self, handler: Handler) -> Any:
        """Return the response to a request in which *handler* is called with the session, as ours have it."""
        self.handler = handler
        return self.client.get("/")

    def ask(self, handler: Handler) -> Any:
        """Return what *handler* returned."""
        assert self.get(lambda session: [handler(session)]).status_code in (200, 500)
        return self.value[0]


class QuartSite(FlaskSite):
    def make_app(self) -> Any:
        return quart.Quart(__name__)

    def interface_of(self, engine: SessionEngine | None, store: Any) -> Any:
        return QuartInterface(engine, store=store)

    def page_of(self) -> Any:
        async def page() -> Any:
            self.value = self.handler(quart_session)
            return "page" if not isinstance(self.value, tuple) else self.value

        return page

    def get(self, handler: Handler) -> Any:
        self.handler = handler
        return asyncio.run(self.client.get("/"))


Site = type[FlaskSite]


class Somebody(flask_login.UserMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, name: str) -> None:
        self.id = name


def seen(session: Any) -> tuple[str | None, str | None]:
    """Return who is signed in, as Flask-Login and as the session say."""
    user = flask_login.current_user
    return user.id if user.is_authenticated else None, session.user_id


def sign_in(site: FlaskSite, name: str) -> None:
    site.ask(lambda session: flask_login.login_user(Somebody(name)))
