"""Flask's own sessions: all fields in a signed cookie, nothing on the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..peer import Apps, Fields, Peer, Place, Traits, answer, bare_answer


def application(place: Place, login: Callable[[str], None] | None = None) -> Any:
    """Return a Flask application that does with its session what the path says."""
    import flask

    app = flask.Flask("benchmark", static_folder=None)
    app.secret_key, fallbacks = place.secrets[0], place.secrets[1:]
    app.config.update(SECRET_KEY_FALLBACKS=fallbacks, SESSION_COOKIE_SECURE=True)

    def view(path: str) -> str:
        return answer(place, path, flask.request.query_string.decode(), flask.session, login)

    app.add_url_rule("/<path>", view_func=view)
    return app


def bare_application(place: Place) -> Any:
    """Return the same without a secret, for want of which Flask neither reads a session nor writes one."""
    import flask

    app = flask.Flask("benchmark", static_folder=None)
    app.add_url_rule("/<path>", view_func=lambda path: bare_answer(place, path))
    return app


def build(place: Place) -> Apps:
    app = application(place)
    serializer = app.session_interface.get_signing_serializer(app)

    def populate(visitors: Iterable[Fields]) -> list[str]:
        return [f"session={serializer.dumps(fields)}" for fields in visitors]

    return Apps(app, bare_application(place), populate)


PEERS = [
    Peer(
        library="Flask",
        store="cookie",
        protocol="WSGI",
        setup="default",
        traits=Traits("cookie", "a power cut"),
        build=build,
        packages=("flask", "itsdangerous"),
        quick=True,
    )
]
