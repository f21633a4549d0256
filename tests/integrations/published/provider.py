"""A provider of OpenID Connect, for clients that are sent to it and come back with a code.

It keeps no sessions: whoever comes gives name and password. A code is good once, for its client and address.
"""

from __future__ import annotations

import base64
import html
import secrets
import time
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT = ("blog", "of the client")


def provider(passwords: dict[str, str]) -> Starlette:
    """Return the application of a provider that knows *passwords*, by name."""
    key = RSAKey.generate_key(2048, {"kid": "only", "use": "sig"})
    codes: dict[str, dict[str, str]] = {}

    async def describe(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        endpoints = {f"{name}_endpoint": f"{base}/{name}" for name in ("authorization", "token")}
        return JSONResponse({"issuer": base, "jwks_uri": f"{base}/jwks", **endpoints})

    async def keys(request: Request) -> Response:
        return JSONResponse({"keys": [key.as_dict(private=False)]})

    async def authorize(request: Request) -> Response:
        asked = dict(request.query_params)
        if request.method == "GET":
            fields = "<input name=username><input name=password type=password>"
            return HTMLResponse(
                f"<form method=post action='?{html.escape(urlencode(asked))}'>{fields}</form>"
            )
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if passwords.get(form["username"]) != form["password"]:
            return HTMLResponse("wrong name or password", 403)
        code = secrets.token_urlsafe()
        codes[code] = {**asked, "name": form["username"]}
        answer = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}", 303)

    async def exchange(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = codes.pop(form["code"], None)
        if asked is None or form["redirect_uri"] != asked["redirect_uri"] or not _is_client(request):
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims: dict[str, Any] = {
            "iss": str(request.base_url).rstrip("/"),
            "sub": f"user-of-{asked['name']}",
            "aud": CLIENT[0],
            "nonce": asked["nonce"],
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            "preferred_username": asked["name"],
        }
        token = jwt.encode({"alg": "RS256", "kid": "only"}, claims, key)
        return JSONResponse(
            {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": token}
        )

    return Starlette(
        routes=[
            Route("/.well-known/openid-configuration", describe),
            Route("/jwks", keys),
            Route("/authorization", authorize, methods=["GET", "POST"]),
            Route("/token", exchange, methods=["POST"]),
        ]
    )


def _is_client(request: Request) -> bool:
    given = request.headers.get("Authorization", "").removeprefix("Basic ")
    return base64.b64decode(given).decode() == ":".join(CLIENT)
