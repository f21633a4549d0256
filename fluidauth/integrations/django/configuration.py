"""From Django's settings to an engine."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import mail
from django.core.signals import request_finished, setting_changed
from django.utils.module_loading import import_string

from fluidauth.after_fork import ProcessLock
from fluidauth.engine import SessionEngine
from fluidauth.engine.housekeeping import tidy
from fluidauth.engine.settings import unless_our_own
from fluidauth.errors import ConfigError
from fluidauth.formats.cookies import CookieOptions
from fluidauth.keys import Keyring
from fluidauth.keys.named import NamedSecrets, numbered
from fluidauth.records import MAX_LIFETIME
from fluidauth.secrecy import without_locals
from fluidauth.stores.under_test import run

from . import under_test
from .adopters import DjangoSessions

OPTIONS = (
    "secret",
    "keyring",
    "store",
    "absolute_timeout",
    "idle_timeout",
    "encrypted_fields",
    "max_payload",
    "adopt",
    "adopt_until",
    "cross_origin",
    "trusted_origins",
    "cross_origin_exempt",
    "counts_as_activity",
    "status_path",
    "login_url",
    "clear_site_data",
    "connect",
    "on_event",
    "development",
)
_ADVICE = (
    "do not change it, because password hashes in sessions and password reset links depend on it. Give "
    "sessions a secret of their own, as FLUIDAUTH = {'secret': …} or in FLUIDAUTH_SECRET. Make one with"
)
_DEPENDS_ON = ("FLUIDAUTH", "SECRET_KEY", "SECRET_KEY_FALLBACKS", "SESSION_COOKIE_NAME")

_lock = ProcessLock()
_built: list[SessionEngine] = []
_overrides: list[str] = []  # settings that a test overrides: it may name a store, and gets it


def get_engine() -> SessionEngine:
    """Return the engine of this process, to list or revoke sessions. The first call makes it.

    ``settings.FLUIDAUTH`` may have these arguments of :class:`~fluidauth.SessionEngine`: ``store``,
    ``secret``, ``absolute_timeout``, ``idle_timeout``, ``encrypted_fields``, ``max_payload``, ``adopt``,
    ``adopt_until``, those from ``cross_origin`` to ``clear_site_data``, ``connect``, ``on_event`` and
    ``development``. There functions can also be dotted paths, and ``adopt`` can have the name of a former
    ``SESSION_ENGINE``. ``keyring`` is the path of a keyring file. Django's own settings describe the cookie.

    As with Django, a session ends ``SESSION_COOKIE_AGE`` after its last change. ``absolute_timeout`` limits
    that (400 days by default), and ``idle_timeout`` counts from the last use. If ``FLUIDAUTH`` has no secret,
    that of the environment (``FLUIDAUTH_SECRET`` …) signs, or else ``SECRET_KEY``. Raise :class:`ConfigError`
    for a setting that is wrong or weak.
    """
    _notice_tests()
    if not _built:
        with _lock:
            if not _built:
                _built.append(build_engine())
    return _built[0]


def _notice_tests() -> None:
    if "outbox" in mail.__dict__ and under_test.begins():
        _built.clear()  # made before, with the sessions of people


@without_locals
def build_engine(connect: str | None = None) -> SessionEngine:
    """Return a new engine made from the settings; *connect* overrides theirs. Raise as :func:`get_engine`."""
    options: Any = getattr(settings, "FLUIDAUTH", {})
    if not isinstance(options, dict):
        raise ConfigError("FLUIDAUTH must be a dict of options")
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise ConfigError(f"FLUIDAUTH has the unknown option {unknown[0]!r}; known are {', '.join(OPTIONS)}")
    options = {"absolute_timeout": MAX_LIFETIME, "idle_timeout": None, "connect": "lazy", **options}
    if connect is not None:
        options["connect"] = connect
    _notice_tests()  # the runner checks settings before anything asks for a session
    if run.goes_on and not _overrides:
        options["store"] = run.store()
    path = options.pop("keyring", None)
    for name in ("on_event", "counts_as_activity"):
        if isinstance(options.get(name), str):
            options[name] = import_string(options[name])
    adopt = [DjangoSessions(each) if isinstance(each, str) else each for each in options.pop("adopt", ())]
    if path is not None and "secret" in options:
        raise ConfigError("FLUIDAUTH has a secret and a keyring; give one of them")
    if path is not None:
        options["secret"] = Keyring.from_file(path)
    return SessionEngine(
        _secret(options.pop("secret", None)),
        cookie=_cookie(),
        adopt=adopt,
        user_key=None,  # Django's own is followed when the session is saved
        **options,
    )


def _secret(ours: Any) -> Keyring | NamedSecrets | None:
    """Return what signs: the secret in ``FLUIDAUTH``, or that of the environment, or ``SECRET_KEY``."""
    if isinstance(ours, Keyring):
        return ours
    if ours is not None:
        count = len(ours) if isinstance(ours, list | tuple) else 1
        return NamedSecrets(ours, numbered("FLUIDAUTH['secret']", count))
    fallbacks = settings.SECRET_KEY_FALLBACKS
    names = ["SECRET_KEY", *numbered("SECRET_KEY_FALLBACKS", len(fallbacks))]
    return unless_our_own(NamedSecrets([settings.SECRET_KEY, *fallbacks], names, _ADVICE))


def _cookie() -> CookieOptions:
    """Return what commands say about the cookie. Django sends it, by its own settings."""
    name = settings.SESSION_COOKIE_NAME
    secure = bool(settings.SESSION_COOKIE_SECURE) or name.startswith(("__Host-", "__Secure-"))
    try:
        return CookieOptions(
            name=name,
            secure=secure,
            http_only=bool(settings.SESSION_COOKIE_HTTPONLY),
            same_site=settings.SESSION_COOKIE_SAMESITE or "none",
            domain=settings.SESSION_COOKIE_DOMAIN,
            path=settings.SESSION_COOKIE_PATH,
        )
    except ConfigError:  # Django allows what a browser refuses, and sends it
        return CookieOptions(name=name, secure=secure)


def _forget(*, setting: str, enter: bool = True, **others: Any) -> None:
    """Let the next request make another engine: a test overrides settings."""
    if setting in _DEPENDS_ON:
        with _lock:
            _built.clear()
            if setting == "FLUIDAUTH" and enter:
                _overrides.append(setting)
            elif setting == "FLUIDAUTH" and _overrides:
                _overrides.pop()


def _tidy(**_: object) -> None:
    """After a response: end what could not be ended before, and remove what has expired."""
    requests = _built[0].requests if _built else None
    if requests is not None and requests.cleaning_due:
        tidy(requests)


setting_changed.connect(_forget)
request_finished.connect(_tidy)
