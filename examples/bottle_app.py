"""Notes of those who are signed in, on Bottle.

    pip install fluidauth bottle waitress
    cd examples && FLUIDAUTH_DEVELOPMENT=1 waitress-serve --listen 127.0.0.1:8080 bottle_app:app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie.
"""

from __future__ import annotations

from typing import Any

from bottle import Bottle, abort, redirect, request

from fluidauth import Session, SessionEngine, SessionMiddleware

pages = Bottle()


def current_session() -> Session:
    session: Session = request.environ["fluidauth.session"]
    return session


@pages.get("/")
def home() -> dict[str, Any]:
    return {"hello": current_session().user_id}


@pages.post("/sign-in")
def sign_in() -> None:
    # Here a real application compares a password.
    current_session().login(request.forms["name"])
    redirect("/notes")


@pages.route("/notes", method=["GET", "POST"])
def notes() -> dict[str, Any]:
    session = current_session()
    if not session.is_authenticated:
        abort(401, "sign in first")
    if request.method == "POST":
        session.append("notes", request.forms["note"])
    return {"user": session.user_id, "notes": session.get("notes", [])}


@pages.post("/sign-out")
def sign_out() -> None:
    current_session().logout()
    redirect("/notes")


engine = SessionEngine()
app = SessionMiddleware(pages, engine=engine)
