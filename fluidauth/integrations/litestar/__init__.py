"""Litestar's sessions, kept on the server.

    sessions = FluidAuthSessionConfig(engine=engine)    # or with secret=, or the secret in the environment
    app = Litestar([...], middleware=[sessions.middleware])

is used as Litestar's own ``ServerSideSessionConfig``, also as *session_backend_config* of ``SessionAuth``.
With *cors_config*, :class:`SessionMiddleware` stands around all of it:

    app.asgi_handler = SessionMiddleware(app.asgi_handler, engine=engine)
"""

from .config import FluidAuthSessionBackend as FluidAuthSessionBackend
from .config import FluidAuthSessionConfig as FluidAuthSessionConfig
from .middleware import LitestarFace as LitestarFace
from .middleware import SessionMiddleware as SessionMiddleware
from .middleware import session_of as session_of
