"""Sessions that Flask and Flask-Session began, adopted: see :mod:`fluidauth.adoption`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SecureCookieSessionInterface, session_json_serializer
from itsdangerous import BadData, Signer

from fluidauth.adoption import Adopted, Adopter
from fluidauth.errors import ConfigError, StoreError
from fluidauth.formats.cookies import CookieOptions
from fluidauth.records import MAX_LIFETIME
from fluidauth.rules.user_fields import FLASK_LOGIN
from fluidauth.secrecy import HoldsSecrets, without_locals

from .tagged_json import tagged, untagged

LIFETIME = timedelta(days=31)  # Flask's default

UserOf = Callable[[dict[str, Any]], str | None]


class _OfFlask(HoldsSecrets, Adopter):
    """What both kinds have in common: name, place and the signed-in user."""

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
        self.cookie: CookieOptions = CookieOptions(
            name=session_cookie, secure=secure, path=path, domain=domain
        )
        self.lifetime: int = min(int(lifetime.total_seconds()), MAX_LIFETIME)
        self._user_id = user_id or _of_flask_login

    def adopted(self, fields: Any) -> Adopted:
        kept = {str(name): tagged(session_json_serializer, name, value) for name, value in fields.items()}
        return Adopted(kept, self.user_of(kept))

    def user_of(self, fields: dict[str, Any]) -> str | None:
        return self._user_id(
            {name: untagged(session_json_serializer, value) for name, value in fields.items()}
        )


class FlaskCookie(_OfFlask):
    """Flask's own sessions: all in a cookie that *secret_key*, or one of *fallbacks*, signed.

    The other arguments are as the application was configured: ``PERMANENT_SESSION_LIFETIME``, and the name,
    path and domain of its cookie. The function *user_id* returns the signed-in user from the fields. By
    default that is the user in Flask-Login's field.
    """

    name = "flask"

    @without_locals
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

    def identity(self, value: str) -> str | None:
        return value.rpartition(".")[0] if self.read(value) is not None else None  # all but the signature

    def read(self, value: str) -> Adopted | None:
        try:
            fields = self._signing.loads(value, max_age=self.lifetime)
            return self.adopted(fields) if isinstance(fields, dict) else None
        except (BadData, ValueError):  # forged or expired, or in a form that no Flask signed
            return None


class FlaskSessionRedis(_OfFlask):
    """Sessions that Flask-Session keeps in Redis.

    *client* is a ``redis.Redis``. The other arguments are as the application was configured
    (``SESSION_KEY_PREFIX``, ``SESSION_SERIALIZATION_FORMAT``, ``SESSION_USE_SIGNER`` and its secret key).
    What it stored is read only as MessagePack or JSON. Flask-Session itself would also unpickle it, which
    runs any code that somebody put there (CWE-502). ``msgspec``, which Flask-Session installs, is needed.
    """

    name = "flask-session"
    blocks = True

    @without_locals
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
        super().__init__(session_cookie, lifetime, path, domain, user_id)
        self._client = client
        self._key_prefix = key_prefix
        self._decode = _decoder_of(serialization_format)
        self._signer: Signer | None = None
        if use_signer:
            if not secret_key:
                raise ConfigError("FlaskSessionRedis needs the secret key that use_signer signed with")
            self._signer = Signer(secret_key, salt="flask-session", key_derivation="hmac")

    def identity(self, value: str) -> str | None:
        return self._sid_of(value)

    def read(self, value: str) -> Adopted | None:
        sid = self._sid_of(value)
        stored = None if sid is None else self._call(self._client.get, f"{self._key_prefix}{sid}")
        if not stored:
            return None
        try:
            fields = self._decode(stored)
        except ValueError:  # neither of its formats, or from an old release that pickled
            return None
        return self.adopted(fields) if isinstance(fields, dict) else None

    def forget(self, value: str) -> None:
        sid = self._sid_of(value)
        if sid is not None:
            self._call(self._client.delete, f"{self._key_prefix}{sid}")

    def _sid_of(self, value: str) -> str | None:
        """Return the id that the cookie *value* carries; None if its signature is wrong."""
        if self._signer is None:
            return value
        try:
            return self._signer.unsign(value).decode()
        except (BadData, ValueError):
            return None

    def _call(self, function: Any, *arguments: Any) -> Any:
        from redis.exceptions import RedisError

        try:
            return function(*arguments)
        except RedisError as error:
            raise StoreError(f"Redis does not answer for Flask-Session: {error}") from error


def _decoder_of(serialization_format: str) -> Callable[[bytes], Any]:
    """Return what reads a stored session: *serialization_format* first, then the other one."""
    import msgspec

    formats: dict[str, Callable[[bytes], Any]] = {
        "msgpack": msgspec.msgpack.decode,
        "json": msgspec.json.decode,
    }
    if serialization_format not in formats:
        raise ConfigError(f"serialization_format={serialization_format!r} must be 'msgpack' or 'json'")
    first = formats.pop(serialization_format)
    [other] = formats.values()

    def decode(stored: bytes) -> Any:
        try:
            return first(stored)
        except ValueError:  # as msgspec's DecodeError is; it may have been written before a change
            return other(stored)

    return decode


def _of_flask_login(fields: dict[str, Any]) -> str | None:
    user_id = fields.get(FLASK_LOGIN)
    return None if user_id is None else str(user_id)
