"""Sessions that Flask and Flask-Session began, taken over: see :mod:`fluidauth.adoption`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import flask
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SecureCookieSessionInterface, session_json_serializer
from itsdangerous import BadData

from ..adoption import Adopted, Adopter
from ..cookies import CookieOptions
from ..errors import ConfigError, StoreError
from ..records import MAX_LIFETIME
from .flasksession import tagged

LIFETIME = timedelta(days=31)  # Flask's default
FLASK_LOGIN = "_user_id"  # where Flask-Login keeps who is signed in

UserOf = Callable[[dict[str, Any]], str | None]


class _OfFlask(Adopter):
    """What both kinds have in common: names, places and who is signed in."""

    def __init__(
        self,
        session_cookie: str,
        lifetime: timedelta,
        path: str,
        domain: str | None,
        user_id: UserOf | None,
    ) -> None:
        if user_id is not None and not callable(user_id):
            raise ConfigError("user_id must be a function from the old session's fields to a user id or None")
        secure = session_cookie.startswith("__")
        self.cookie = CookieOptions(name=session_cookie, secure=secure, path=path, domain=domain)
        self.lifetime = min(int(lifetime.total_seconds()), MAX_LIFETIME)
        self._user_id = user_id or _of_flask_login

    def adopted(self, fields: Any) -> Adopted:
        user_id = self._user_id(dict(fields))
        kept = {str(name): tagged(session_json_serializer, name, value) for name, value in fields.items()}
        return Adopted(kept, user_id)


class FlaskCookie(_OfFlask):
    """Flask's own sessions: all in a cookie signed by *secret_key*, or by one of *fallbacks*.

    The other arguments are as the application was configured: ``PERMANENT_SESSION_LIFETIME``, and the
    name, path and domain of its cookie. *user_id* tells who is signed in from the fields; by default it is
    whom Flask-Login remembers.
    """

    name = "flask"

    def __init__(
        self,
        secret_key: str | bytes,
        fallbacks: Sequence[str | bytes] = (),
        *,
        session_cookie: str = "session",
        lifetime: timedelta = LIFETIME,
        path: str = "/",
        domain: str | None = None,
        user_id: UserOf | None = None,
        serializer: TaggedJSONSerializer = session_json_serializer,
    ) -> None:
        super().__init__(session_cookie, lifetime, path, domain, user_id)
        interface = SecureCookieSessionInterface()
        interface.serializer = serializer
        app: Any = SimpleNamespace(secret_key=secret_key, config={"SECRET_KEY_FALLBACKS": [*fallbacks]})
        signing = interface.get_signing_serializer(app)
        if signing is None:
            raise ConfigError("FlaskCookie needs the secret key that Flask signed with")
        self._signing = signing

    def read(self, value: str) -> Adopted | None:
        try:
            fields = self._signing.loads(value, max_age=self.lifetime)
            return self.adopted(fields) if isinstance(fields, dict) else None
        except (BadData, ValueError):  # forged or expired; or of a form that no Flask signed
            return None


class FlaskSessionRedis(_OfFlask):
    """Sessions that Flask-Session keeps in Redis; its library reads them, and must be installed.

    *client* is a ``redis.Redis``; the other arguments are as the application was configured
    (``SESSION_KEY_PREFIX``, ``SESSION_SERIALIZATION_FORMAT``, ``SESSION_USE_SIGNER`` and its secret key).
    """

    name = "flask-session"
    blocks = True

    def __init__(
        self,
        client: Any,
        *,
        key_prefix: str = "session:",
        serialization_format: str = "msgpack",
        use_signer: bool = False,
        secret_key: str | None = None,
        session_cookie: str = "session",
        lifetime: timedelta = LIFETIME,
        path: str = "/",
        domain: str | None = None,
        user_id: UserOf | None = None,
    ) -> None:
        from flask_session.redis import RedisSessionInterface

        super().__init__(session_cookie, lifetime, path, domain, user_id)
        self._app = flask.Flask("flask-session")
        self._app.config.update(SECRET_KEY=secret_key, SESSION_COOKIE_NAME=session_cookie)
        self._interface = RedisSessionInterface(
            self._app,
            client=client,
            key_prefix=key_prefix,
            use_signer=use_signer,
            serialization_format=serialization_format,
        )

    def read(self, value: str) -> Adopted | None:
        found = self._find(value)
        return None if found is None else self.adopted(found)

    def forget(self, value: str) -> None:
        found = self._find(value)
        if found is not None:
            self._call(self._interface.client.delete, f"{self._interface.key_prefix}{found.sid}")

    def _find(self, value: str) -> Any:
        """Return the stored session of the cookie *value*; for another, the library makes a new one."""
        request: Any = SimpleNamespace(cookies={self.cookie.name: value})
        found = self._call(self._interface.open_session, self._app, request)
        return found if found is not None and value.startswith(found.sid) else None

    def _call(self, function: Any, *arguments: Any) -> Any:
        from redis.exceptions import RedisError

        try:
            return function(*arguments)
        except RedisError as error:
            raise StoreError(f"Redis does not answer for Flask-Session: {error}") from error


def _of_flask_login(fields: dict[str, Any]) -> str | None:
    user_id = fields.get(FLASK_LOGIN)
    return None if user_id is None else str(user_id)
