"""A panel of starlette-admin, whose provider keeps who is signed in in a field; a page counts visits."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette_admin import BaseAdmin
from starlette_admin.auth import AdminUser, AuthProvider, LoginFailed

SECRET = "1234567890"
PASSWORDS = {"ada": "difference", "mallory": "engine"}


class Members(AuthProvider):
    async def login(
        self, username: str, password: str, remember_me: bool, request: Request
    ) -> Response | None:
        if PASSWORDS.get(username) != password:
            raise LoginFailed("Invalid username or password")
        request.session.update({"username": username})
        return None

    async def authenticate(self, request: Request) -> AdminUser | None:
        name = request.session.get("username")
        return AdminUser(username=name) if name in PASSWORDS else None

    async def logout(self, request: Request) -> Response | None:
        request.session.clear()
        return None


def home(request: Request) -> HTMLResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HTMLResponse(f"<p>visit number {request.session['visits']}</p>")


app = Starlette(
    routes=[Route("/", home)],
    middleware=[Middleware(SessionMiddleware, secret_key="1234567890")],
)
admin = BaseAdmin(title="Members", auth_provider=Members(), secret_key=SECRET)
admin.mount_to(app)
