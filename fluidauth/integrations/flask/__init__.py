"""Sessions for Flask: ``app.session_interface = FluidAuthSessionInterface(engine)``."""

from .adopters import FlaskCookie, FlaskSessionRedis
from .interface import FluidAuthSessionInterface, session

__all__ = [
    "FlaskCookie",
    "FlaskSessionRedis",
    "FluidAuthSessionInterface",
    "session",
]
