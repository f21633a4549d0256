"""Notes of those who are signed in, on Starlette.

    pip install fluidauth starlette python-multipart uvicorn
    FLUIDAUTH_DEVELOPMENT=1 uvicorn --app-dir examples starlette_app:app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from fluidauth.integrations.starlette import SessionMiddleware, session_of


async def home(request: Request) -> Response:
    return JSONResponse({"hello": session_of(request).user_id})


async def sign_in(request: Request) -> Response:
    form = await request.form()
    # Here a real application compares a password.
    session_of(request).login(str(form["name"]))
    return RedirectResponse("/notes", status_code=303)


async def notes(request: Request) -> Response:
    session = session_of(request)
    if not session.is_authenticated:
        return JSONResponse({"error": "sign in first"}, status_code=401)
    if request.method == "POST":
        session.append("notes", str((await request.form())["note"]))
    return JSONResponse({"user": session.user_id, "notes": session.get("notes", [])})


async def sign_out(request: Request) -> Response:
    session_of(request).logout()
    return RedirectResponse("/notes", status_code=303)


app = Starlette(
    routes=[
        Route("/", home),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/notes", notes, methods=["GET", "POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
    ],
    middleware=[Middleware(SessionMiddleware, https_only=True)],
)
