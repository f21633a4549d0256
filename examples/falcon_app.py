"""Notes of those who are signed in, on Falcon; the same responders over WSGI and ASGI.

    pip install fluidauth falcon waitress uvicorn
    cd examples && FLUIDAUTH_DEVELOPMENT=1 waitress-serve --listen 127.0.0.1:8080 falcon_app:app
    FLUIDAUTH_DEVELOPMENT=1 uvicorn --app-dir examples falcon_app:asgi_app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie.
"""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from fluidauth import Session, SessionEngine, SessionMiddleware


def session_of(request: Any) -> Session:
    if isinstance(request, falcon.asgi.Request):
        session: Session = request.scope["session"]
    else:
        session = request.env["fluidauth.session"]
    return session


class Home:
    def on_get(self, request: Any, response: Any) -> None:
        response.media = {"hello": session_of(request).user_id}

    async def on_get_async(self, request: Any, response: Any) -> None:
        self.on_get(request, response)


class SignIn:
    def on_post(self, request: Any, response: Any) -> None:
        self._sign_in(request, request.get_media())

    async def on_post_async(self, request: Any, response: Any) -> None:
        self._sign_in(request, await request.get_media())

    def _sign_in(self, request: Any, form: dict[str, str]) -> None:
        # Here a real application compares a password.
        session_of(request).login(form["name"])
        raise falcon.HTTPSeeOther("/notes")


class Notes:
    def on_get(self, request: Any, response: Any) -> None:
        session = self._signed_in(request)
        response.media = {"user": session.user_id, "notes": session.get("notes", [])}

    async def on_get_async(self, request: Any, response: Any) -> None:
        self.on_get(request, response)

    def on_post(self, request: Any, response: Any) -> None:
        self._signed_in(request).append("notes", request.get_media()["note"])
        self.on_get(request, response)

    async def on_post_async(self, request: Any, response: Any) -> None:
        self._signed_in(request).append("notes", (await request.get_media())["note"])
        self.on_get(request, response)

    def _signed_in(self, request: Any) -> Session:
        session = session_of(request)
        if not session.is_authenticated:
            raise falcon.HTTPUnauthorized(title="sign in first")
        return session


class SignOut:
    def on_post(self, request: Any, response: Any) -> None:
        session_of(request).logout()
        raise falcon.HTTPSeeOther("/notes")

    async def on_post_async(self, request: Any, response: Any) -> None:
        self.on_post(request, response)


def with_routes(api: Any, suffix: str | None) -> Any:
    for path, resource in {
        "/": Home(),
        "/sign-in": SignIn(),
        "/notes": Notes(),
        "/sign-out": SignOut(),
    }.items():
        api.add_route(path, resource, suffix=suffix)
    return api


engine = SessionEngine()
app = SessionMiddleware(with_routes(falcon.App(), None), engine=engine)
asgi_app = SessionMiddleware(with_routes(falcon.asgi.App(), "async"), engine=engine)
