"""Django's sessions, kept by fluidauth.

    SESSION_ENGINE = "fluidauth.integrations.django"

is the only line that changes. ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS`` sign; ``FLUIDAUTH = {...}``
may say where sessions are kept, and more. In ``INSTALLED_APPS`` this module checks these settings.
"""

from .adopters import DjangoSessions
from .configuration import get_engine
from .store import SessionStore

__all__ = ["DjangoSessions", "SessionStore", "get_engine"]
