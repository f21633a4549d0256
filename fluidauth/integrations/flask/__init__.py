"""Sessions for Flask: ``app.session_interface = FluidAuthSessionInterface(engine)``."""

from .adopters import FlaskCookie as FlaskCookie
from .adopters import FlaskSessionRedis as FlaskSessionRedis
from .interface import FluidAuthSessionInterface as FluidAuthSessionInterface
from .interface import session as session
