"""Starlette's ``SessionMiddleware``: all fields in a signed cookie, nothing on the server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from ..peer import Apps, Fields, Peer, Place, Traits, aanswer
from ..plain import asgi_app, bare_asgi


def build(place: Place) -> Apps:
    from starlette.middleware.sessions import SessionMiddleware

    async def respond(path: str, query: str, scope: Any) -> str:
        return await aanswer(place, path, query, scope["session"])

    app = SessionMiddleware(asgi_app(respond), place.secrets[0], https_only=True)

    def populate(visitors: Iterable[Fields]) -> list[str]:
        sign = app.signer.sign
        return [f"session={sign(base64.b64encode(json.dumps(f).encode())).decode()}" for f in visitors]

    return Apps(app, bare_asgi(place), populate)


PEERS = [
    Peer(
        library="Starlette",
        store="cookie",
        protocol="ASGI",
        setup="default",
        traits=Traits("cookie", "a power cut", cookie_on_read=False),
        build=build,
        packages=("starlette", "itsdangerous"),
        quick=True,
    )
]
