"""Notes of those who are signed in, on Flask.

    pip install fluidauth flask waitress
    FLUIDAUTH_DEVELOPMENT=1 waitress-serve --listen 127.0.0.1:8000 examples.flask_app:app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie.
"""

from __future__ import annotations

from flask import Flask, jsonify, redirect, request
from werkzeug import Response

from fluidauth import SessionEngine
from fluidauth.integrations.flask import FluidAuthSessionInterface, session

app = Flask(__name__)
app.session_interface = FluidAuthSessionInterface(SessionEngine())


@app.get("/")
def home() -> Response:
    return jsonify(hello=session.user_id)


@app.post("/sign-in")
def sign_in() -> Response:
    # Here a real application compares a password.
    session.login(request.form["name"])
    return redirect("/notes", 303)


@app.route("/notes", methods=["GET", "POST"])
def notes() -> Response | tuple[Response, int]:
    if not session.is_authenticated:
        return jsonify(error="sign in first"), 401
    if request.method == "POST":
        session.append("notes", request.form["note"])
    return jsonify(user=session.user_id, notes=session.get("notes", []))


@app.post("/sign-out")
def sign_out() -> Response:
    session.logout()
    return redirect("/notes", 303)
