"""Litestar's ``SessionAuth``: a handler finds the user of the session, without whom nothing is served."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Litestar, MediaType, Request, get, post
from litestar.connection import ASGIConnection
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.params import Body
from litestar.response import Redirect
from litestar.security.session_auth import SessionAuth

PASSWORDS = {"ada": "difference", "mallory": "engine"}
FORM = "<form action=/login method=post><input name=username><input name=password type=password></form>"
Credentials = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


async def find_user(session: dict[str, Any], connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    name = session.get("user_id")
    return name if name in PASSWORDS else None


@get("/", media_type=MediaType.HTML, exclude_from_auth=True)
async def home(request: Request[Any, Any, Any]) -> str:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return FORM


@post("/login", exclude_from_auth=True)
async def sign_in(data: Credentials, request: Request[Any, Any, Any]) -> Redirect:
    if PASSWORDS.get(data["username"]) != data["password"]:
        raise NotAuthorizedException("wrong name or password")
    request.set_session({"user_id": data["username"]})
    return Redirect("/me", status_code=303)


@get("/me", media_type=MediaType.HTML)
async def me(request: Request[str, Any, Any]) -> str:
    return f"<p>signed in as <b>{request.user}</b></p><form action=/logout method=post></form>"


@post("/logout")
async def sign_out(request: Request[Any, Any, Any]) -> None:
    request.clear_session()


auth = SessionAuth[str, Any](
    retrieve_user_handler=find_user,
    session_backend_config=ServerSideSessionConfig(),
    exclude=["/schema"],
)
app = Litestar([home, sign_in, me, sign_out], on_app_init=[auth.on_app_init])
