"""FastAPI with Authlib's client of OpenID Connect, which keeps its state in the session on the way."""

from __future__ import annotations

import html
import os

from authlib.integrations.starlette_client import OAuth
from fastapi import FastAPI, Request
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import HTMLResponse, RedirectResponse, Response

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="some-random-string")

oauth = OAuth()
oauth.register(
    name="provider",
    client_id="blog",
    client_secret="of the client",
    server_metadata_url=f"{os.environ['PROVIDER']}/.well-known/openid-configuration",
    client_kwargs={"scope": "openid email profile"},
)


@app.get("/")
async def home(request: Request) -> HTMLResponse:
    user = request.session.get("user")
    if user:
        name = html.escape(user["preferred_username"])
        return HTMLResponse(f"<p>signed in as <b>{name}</b></p><a href=/logout>log out</a>")
    return HTMLResponse("<a href=/login>log in</a>")


@app.get("/login")
async def sign_in(request: Request) -> Response:
    answer: Response = await oauth.provider.authorize_redirect(request, request.url_for("finish"))
    return answer


@app.get("/auth")
async def finish(request: Request) -> Response:
    token = await oauth.provider.authorize_access_token(request)
    request.session["user"] = dict(token["userinfo"])
    return RedirectResponse("/")


@app.get("/logout")
async def sign_out(request: Request) -> Response:
    request.session.pop("user", None)
    return RedirectResponse("/")
