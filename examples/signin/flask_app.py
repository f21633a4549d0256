"""One real sign-in, on Flask.

    pip install fluidauth flask gunicorn
    FLUIDAUTH_DEVELOPMENT=1 gunicorn --threads 8 examples.signin.flask_app:app

It prints its example users. Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask, abort, flash, get_flashed_messages, jsonify, redirect, render_template, request
from werkzeug import Response
from werkzeug.security import check_password_hash, generate_password_hash

from fluidauth import CookieOptions, Lifetime, SessionEngine, local_path
from fluidauth.integrations.flask import FluidAuthSessionInterface, session

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
app = Flask(__name__, template_folder=TEMPLATES)
app.session_interface = FluidAuthSessionInterface(engine)
users = example_users()
passwords = Passwords(users, generate_password_hash, check_password_hash)


def current_user() -> User:
    session.require()  # leads to login_url if nobody is signed in
    return users[session.user_id or ""]


def page(template: str, status: int = 200, **more: Any) -> tuple[str, int]:
    user, actor = users.get(session.user_id or ""), session.actor
    until = time_of(actor.until) if actor else None
    html = render_template(
        template, user=user, actor=actor, until=until, messages=get_flashed_messages(), **more
    )
    return html, status


@app.get("/")
def home() -> tuple[str, int]:
    current_user()
    return page("home.html", methods=session.methods, users=users)


@app.get("/news")
def news() -> Response:
    """What a page asks for by itself, every few seconds, with the header ``Session-Activity: none``."""
    return jsonify(user=current_user().name)


# -- signing in ------------------------------------------------------------------


@app.get("/login")
def login() -> tuple[str, int]:
    """Ask who it is, or ask again those who are signed in already: see login_url."""
    template = "confirm.html" if session.is_authenticated else "login.html"
    return page(template, next=local_path(request.args.get("next")))


@app.post("/login")
def check_password() -> Any:
    form, way = request.form, local_path(request.form.get("next"))
    user = passwords.user_with(form["username"], form["password"])
    if user is None:
        return page("login.html", 400, next=way, error="That is not right.")
    pending = {"user": user.name, "remember": "remember" in form, "next": way, "tries": 0}
    return ask_for_code(pending) if user.factor else signed_in(pending, "pwd")


def ask_for_code(pending: dict[str, Any], status: int = 200, error: str = "") -> Any:
    """Between the password and the code nobody is signed in: only this value knows of the first."""
    value = session.issue("second-factor", pending, ttl=timedelta(minutes=5))
    return page("code.html", status, value=value, error=error)


@app.post("/code")
def check_code() -> Any:
    pending = session.redeem("second-factor", request.form["value"])
    factor = users[pending["user"]].factor
    if factor is not None and factor.accepts(request.form["code"]):
        return signed_in(pending, "pwd", "otp")
    pending["tries"] += 1
    if pending["tries"] >= MOST_TRIES:
        flash("Please begin again.")
        return redirect("/login", 303)
    return ask_for_code(pending, 400, "That is not the code.")


def signed_in(pending: dict[str, Any], *methods: str) -> Response:
    session.login(pending["user"], lifetime=REMEMBER if pending["remember"] else None, methods=methods)
    return redirect(pending["next"], 303)


@app.post("/confirm")
def confirm() -> Any:
    """Step up: the user proves again who they are."""
    user, way = current_user(), local_path(request.form.get("next"))
    session.require_real_user()
    if not passwords.proves(user, request.form["proof"]):
        return page("confirm.html", 400, next=way, error="That is not right.")
    session.confirm(methods=(user.strongest,))
    return redirect(way, 303)


# -- what needs a fresh sign-in ---------------------------------------------------


@app.route("/email", methods=["GET", "POST"])
def email() -> Any:
    user = current_user()
    session.require(within=300, method=user.strongest)
    if request.method == "GET":
        return page("email.html")
    user.email = request.form["email"]
    flash("The e-mail address has changed.")
    return redirect("/", 303)


@app.route("/password", methods=["GET", "POST"])
def password() -> Any:
    user, form = current_user(), request.form
    session.require_real_user()
    if request.method == "GET":
        return page("password.html")
    error = passwords.change(user, form["old_password"], form["new_password1"], form["new_password2"])
    if error:
        return page("password.html", 400, error=error)
    session.confirm(methods=("pwd",))
    session.keep_only_this()
    flash("The password has changed. All other sessions have ended.")
    return redirect("/", 303)


# -- in another user's name --------------------------------------------------------


@app.post("/act")
def act() -> Response:
    if not current_user().is_admin or request.form["username"] not in users:
        abort(403)
    session.require(within=300, method="otp")
    session.impersonate(request.form["username"], request.form["reason"])
    return redirect("/", 303)


@app.post("/act/end")
def end_act() -> Response:
    session.end_impersonation()
    return redirect("/", 303)


# -- signing out -------------------------------------------------------------------


@app.post("/logout")
def logout() -> Response:
    session.logout()
    return redirect("/login", 303)


@app.post("/logout-everywhere")
def logout_everywhere() -> Response:
    current_user()
    session.require_real_user()
    engine.revoke_user(session.user_id or "", except_handle=session.handle)
    session.logout()
    return redirect("/login", 303)
