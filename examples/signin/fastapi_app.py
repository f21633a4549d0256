"""One real sign-in, on FastAPI.

    pip install fluidauth fastapi python-multipart jinja2 uvicorn
    FLUIDAUTH_DEVELOPMENT=1 uvicorn examples.signin.fastapi_app:app

It prints its example users. Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from fluidauth import CookieOptions, Lifetime, SessionEngine, local_path
from fluidauth.integrations.fastapi import CurrentSession
from fluidauth.integrations.starlette import SessionMiddleware, session_of

from .accounts import MOST_TRIES, TEMPLATES, Passwords, User, example_users, time_of

REMEMBER = Lifetime(absolute=timedelta(days=30), idle=None, persistent=True)
engine = SessionEngine(
    idle_timeout=timedelta(minutes=15),
    cookie=CookieOptions(persistent=False),  # without "remember me" it ends with the browser
    cross_origin="block",
    login_url="/login",
    status_path="/session",
    clear_site_data=("cache", "storage"),
)
app = FastAPI()
app.add_middleware(SessionMiddleware, engine=engine)
templates = Jinja2Templates(directory=TEMPLATES)
Text = Annotated[str, Form()]
Way = Annotated[str, Form(alias="next")]


def hashed(password: str, salt: bytes | None = None) -> str:
    salt = salt or secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2**15, r=8, p=3, maxmem=2**26)
    return f"{salt.hex()}${digest.hex()}"


def matches(kept: str, password: str) -> bool:
    return hmac.compare_digest(kept, hashed(password, bytes.fromhex(kept.partition("$")[0])))


users = example_users()
passwords = Passwords(users, hashed, matches)


def current_user(session: CurrentSession) -> User:
    session.require()  # leads to login_url if nobody is signed in
    return users[session.user_id or ""]


SignedIn = Annotated[User, Depends(current_user)]


def page(request: Request, template: str, status: int = 200, **more: Any) -> Response:
    session = session_of(request)
    actor = session.actor
    context = {
        "user": users.get(session.user_id or ""),
        "actor": actor,
        "until": time_of(actor.until) if actor else None,
        "messages": [flash.text for flash in session.take_flashes()],
        **more,
    }
    return templates.TemplateResponse(request, template, context, status)


@app.get("/")
def home(request: Request, user: SignedIn, session: CurrentSession) -> Response:
    return page(request, "home.html", methods=session.methods, users=users)


@app.get("/news")
def news(user: SignedIn) -> dict[str, str]:
    """What a page asks for by itself, every few seconds, with the header ``Session-Activity: none``."""
    return {"user": user.name}


# -- signing in ------------------------------------------------------------------


@app.get("/login")
def login(
    request: Request, session: CurrentSession, way: Annotated[str, Query(alias="next")] = "/"
) -> Response:
    """Ask who it is, or ask again those who are signed in already: see login_url."""
    template = "confirm.html" if session.is_authenticated else "login.html"
    return page(request, template, next=local_path(way))


@app.post("/login")
def check_password(
    request: Request, username: Text, password: Text, way: Way = "/", remember: Text = ""
) -> Response:
    user, way = passwords.user_with(username, password), local_path(way)
    if user is None:
        return page(request, "login.html", 400, next=way, error="That is not right.")
    pending = {"user": user.name, "remember": bool(remember), "next": way, "tries": 0}
    return ask_for_code(request, pending) if user.factor else signed_in(request, pending, "pwd")


def ask_for_code(request: Request, pending: dict[str, Any], status: int = 200, error: str = "") -> Response:
    """Between the password and the code nobody is signed in: only this value knows of the first."""
    value = session_of(request).issue("second-factor", pending, ttl=timedelta(minutes=5))
    return page(request, "code.html", status, value=value, error=error)


@app.post("/code")
def check_code(request: Request, session: CurrentSession, value: Text, code: Text) -> Response:
    pending = session.redeem("second-factor", value)
    factor = users[pending["user"]].factor
    if factor is not None and factor.accepts(code):
        return signed_in(request, pending, "pwd", "otp")
    pending["tries"] += 1
    if pending["tries"] >= MOST_TRIES:
        session.flash("Please begin again.")
        return RedirectResponse("/login", 303)
    return ask_for_code(request, pending, 400, "That is not the code.")


def signed_in(request: Request, pending: dict[str, Any], *methods: str) -> Response:
    lifetime = REMEMBER if pending["remember"] else None
    session_of(request).login(pending["user"], lifetime=lifetime, methods=methods)
    return RedirectResponse(pending["next"], 303)


@app.post("/confirm")
def confirm(
    request: Request, user: SignedIn, session: CurrentSession, proof: Text, way: Way = "/"
) -> Response:
    """Step up: the user proves again who they are."""
    session.require_real_user()
    if not passwords.proves(user, proof):
        return page(request, "confirm.html", 400, next=local_path(way), error="That is not right.")
    session.confirm(methods=(user.strongest,))
    return RedirectResponse(local_path(way), 303)


# -- what needs a fresh sign-in ---------------------------------------------------


def freshly(user: SignedIn, session: CurrentSession) -> User:
    session.require(within=300, method=user.strongest)
    return user


def really(user: SignedIn, session: CurrentSession) -> User:
    session.require_real_user()
    return user


Fresh = Annotated[User, Depends(freshly)]
Real = Annotated[User, Depends(really)]


@app.get("/email")
def email(request: Request, user: Fresh) -> Response:
    return page(request, "email.html")


@app.post("/email")
def change_email(user: Fresh, session: CurrentSession, email: Text) -> Response:
    user.email = email
    session.flash("The e-mail address has changed.")
    return RedirectResponse("/", 303)


@app.get("/password")
def password(request: Request, user: Real) -> Response:
    return page(request, "password.html")


@app.post("/password")
def change_password(
    request: Request,
    user: Real,
    session: CurrentSession,
    old_password: Text,
    new_password1: Text,
    new_password2: Text,
) -> Response:
    error = passwords.change(user, old_password, new_password1, new_password2)
    if error:
        return page(request, "password.html", 400, error=error)
    session.confirm(methods=("pwd",))
    session.keep_only_this()
    session.flash("The password has changed. All other sessions have ended.")
    return RedirectResponse("/", 303)


# -- in another user's name --------------------------------------------------------


@app.post("/act")
def act(user: SignedIn, session: CurrentSession, username: Text, reason: Text) -> Response:
    if not user.is_admin or username not in users:
        raise HTTPException(403)
    session.require(within=300, method="otp")
    session.impersonate(username, reason)
    return RedirectResponse("/", 303)


@app.post("/act/end")
def end_act(session: CurrentSession) -> Response:
    session.end_impersonation()
    return RedirectResponse("/", 303)


# -- signing out -------------------------------------------------------------------


@app.post("/logout")
def logout(session: CurrentSession) -> Response:
    session.logout()
    return RedirectResponse("/login", 303)


@app.post("/logout-everywhere")
def logout_everywhere(user: Real, session: CurrentSession) -> Response:
    engine.revoke_user(user.name, except_handle=session.handle)
    session.logout()
    return RedirectResponse("/login", 303)
