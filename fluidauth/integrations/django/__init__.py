"""Django's sessions, kept by fluidauth.

    SESSION_ENGINE = "fluidauth.integrations.django"

and ``"fluidauth.integrations.django.middleware.SessionMiddleware"`` instead of Django's in ``MIDDLEWARE``
are the lines that change. ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS`` sign. ``FLUIDAUTH = {...}`` may say
where sessions are kept, and more. In ``INSTALLED_APPS`` this module checks these settings.
"""

from .adopters import DjangoSessions
from .configuration import get_engine
from .facts import SessionFacts, asession_of, session_of
from .impersonation import aend_impersonation, aimpersonate, end_impersonation, impersonate
from .keys import handle_of
from .serving import trusting_keys
from .store import SessionStore

__all__ = [
    "DjangoSessions",
    "SessionFacts",
    "SessionStore",
    "aend_impersonation",
    "aimpersonate",
    "asession_of",
    "end_impersonation",
    "get_engine",
    "handle_of",
    "impersonate",
    "session_of",
    "trusting_keys",
]
