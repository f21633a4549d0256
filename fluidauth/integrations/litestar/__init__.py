"""Litestar's sessions, kept on the server.

    sessions = FluidAuthSessionConfig(engine=engine)    # or with secret=, or the secret in the environment
    app = Litestar([...], middleware=[sessions.middleware])

is used as Litestar's own ``ServerSideSessionConfig``, also as *session_backend_config* of ``SessionAuth``.
With *cors_config*, put :class:`SessionMiddleware` around the whole application:

    app.asgi_handler = SessionMiddleware(app.asgi_handler, engine=engine)
"""

from .config import FluidAuthSessionBackend, FluidAuthSessionConfig
from .middleware import SessionMiddleware, session_of

__all__ = ["FluidAuthSessionBackend", "FluidAuthSessionConfig", "SessionMiddleware", "session_of"]
