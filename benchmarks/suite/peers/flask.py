"""Flask's own sessions: all fields in a signed cookie, nothing on the server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..peer import Apps, Fields, Peer, Place, Traits, answer, bare_answer


def application(place: Place, bare: bool = False) -> Any:
    """Return a Flask application that answers every path, with sessions or without."""
    import flask

    app = flask.Flask("benchmark", static_folder=None)
    if not bare:  # without a secret Flask neither reads a session nor writes one
        app.secret_key, fallbacks = place.secrets[0], place.secrets[1:]
        app.config.update(SECRET_KEY_FALLBACKS=fallbacks, SESSION_COOKIE_SECURE=True)

    def view(path: str) -> str:
        if bare:
            return bare_answer(place, path)
        return answer(place, path, flask.request.query_string.decode(), flask.session)

    app.add_url_rule("/<path>", view_func=view)
    return app


def build(place: Place) -> Apps:
    app = application(place)
    serializer = app.session_interface.get_signing_serializer(app)

    def populate(visitors: Iterable[Fields]) -> list[str]:
        return [f"session={serializer.dumps(fields)}" for fields in visitors]

    return Apps(app, application(place, bare=True), populate)


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
