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
    "connect",
    "on_event",
    "development",
)
_ADVICE = (
    "password hashes in sessions and the links of password resets hang on it, so leave it as it is, and give "
    "sessions a secret of their own: FLUIDAUTH = {'secret': …}, or FLUIDAUTH_SECRET, made by"
)
_DEPENDS_ON = ("FLUIDAUTH", "SECRET_KEY", "SECRET_KEY_FALLBACKS", "SESSION_COOKIE_NAME")

_lock = ProcessLock()
_built: list[SessionEngine] = []
_overrides: list[str] = []  # of the settings, by a test: it may name a store, and have it


def get_engine() -> SessionEngine:
    """Return the engine of this process, to list or revoke sessions by; the first call makes it.

    ``settings.FLUIDAUTH`` may have the arguments of :class:`~fluidauth.SessionEngine`, but for the cookie,
    which Django's own settings describe; *on_event* also as a dotted path; in *adopt*, a former
    ``SESSION_ENGINE`` by its name; or *keyring*, the path of a keyring file. As Django has it, a session ends
    ``SESSION_COOKIE_AGE`` after its last change; *absolute_timeout* bounds that (400 days by default), and
    *idle_timeout* counts from the last use.
    Without a secret there, that of the environment (``FLUIDAUTH_SECRET`` …) signs, else ``SECRET_KEY``. Raise
    :class:`ConfigError` for what is wrong or weak.
    """
    _notice_tests()
    if not _built:
        with _lock:
            if not _built:
                _built.append(build_engine())
    return _built[0]


def _notice_tests() -> None:
    if "outbox" in mail.__dict__ and under_test.begins():
        _built.clear()  # made before, of what people have


@without_locals
def build_engine(connect: str | None = None) -> SessionEngine:
    """Return a new engine by the settings; *connect* overrides theirs. Raise as :func:`get_engine`."""
    options: Any = getattr(settings, "FLUIDAUTH", {})
    if not isinstance(options, dict):
        raise ConfigError("FLUIDAUTH must be a dict of options")
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise ConfigError(f"FLUIDAUTH has the unknown option {unknown[0]!r}; known are {', '.join(OPTIONS)}")
    options = {"absolute_timeout": MAX_LIFETIME, "idle_timeout": None, "connect": "lazy", **options}
    if connect is not None:
        options["connect"] = connect
    _notice_tests()  # the runner has settings checked before anybody asks for a session
    if run.goes_on and not _overrides:
        options["store"] = run.store()
    path, on_event = options.pop("keyring", None), options.pop("on_event", None)
    adopt = [DjangoSessions(each) if isinstance(each, str) else each for each in options.pop("adopt", ())]
    if path is not None and "secret" in options:
        raise ConfigError("FLUIDAUTH has a secret and a keyring; give one of them")
    if path is not None:
        options["secret"] = Keyring.from_file(path)
    return SessionEngine(
        _secret(options.pop("secret", None)),
        on_event=import_string(on_event) if isinstance(on_event, str) else on_event,
        cookie=_cookie(),
        adopt=adopt,
        user_key=None,  # Django's own is followed when the session is saved
        **options,
    )


def _secret(ours: Any) -> Keyring | NamedSecrets | None:
    """Return what signs: the secret in ``FLUIDAUTH``; else that of the environment; else ``SECRET_KEY``."""
    if isinstance(ours, Keyring):
        return ours
    if ours is not None:
        count = len(ours) if isinstance(ours, list | tuple) else 1
        return NamedSecrets(ours, numbered("FLUIDAUTH['secret']", count))
    fallbacks = settings.SECRET_KEY_FALLBACKS
    names = ["SECRET_KEY", *numbered("SECRET_KEY_FALLBACKS", len(fallbacks))]
    return unless_our_own(NamedSecrets([settings.SECRET_KEY, *fallbacks], names, _ADVICE))


def _cookie() -> CookieOptions:
    """Return as much as tells the cookie's name: Django sends it, by its own settings."""
    name = settings.SESSION_COOKIE_NAME
    return CookieOptions(name=name, secure=name.startswith(("__Host-", "__Secure-")))


def _forget(*, setting: str, enter: bool = True, **others: Any) -> None:
    """Let the next request make an engine anew: a test overrides settings."""
    if setting in _DEPENDS_ON:
        with _lock:
            _built.clear()
            if setting == "FLUIDAUTH" and enter:
                _overrides.append(setting)
            elif setting == "FLUIDAUTH" and _overrides:
                _overrides.pop()


def _tidy(**_: object) -> None:
    """End what could not be ended before, and remove what has expired, when a response was sent."""
    requests = _built[0].requests if _built else None
    if requests is not None and requests.cleaning_due:
        tidy(requests)


setting_changed.connect(_forget)
request_finished.connect(_tidy)
