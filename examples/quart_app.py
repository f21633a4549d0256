"""Notes of those who are signed in, on Quart.

    pip install fluidauth quart uvicorn
    FLUIDAUTH_DEVELOPMENT=1 uvicorn --app-dir examples quart_app:app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie.
"""

from __future__ import annotations

from quart import Quart, Response, jsonify, redirect, request
from werkzeug import Response as AnyResponse

from fluidauth import SessionEngine
from fluidauth.integrations.quart import FluidAuthSessionInterface, session

app = Quart(__name__)
app.session_interface = FluidAuthSessionInterface(SessionEngine())  # type: ignore[assignment]  # Quart infers its own kind


@app.get("/")
async def home() -> Response:
    return jsonify(hello=session.user_id)


@app.post("/sign-in")
async def sign_in() -> AnyResponse:
    form = await request.form
    # Here a real application compares a password.
    session.login(form["name"])
    return redirect("/notes", 303)


@app.route("/notes", methods=["GET", "POST"])
async def notes() -> Response | tuple[Response, int]:
    if not session.is_authenticated:
        return jsonify(error="sign in first"), 401
    if request.method == "POST":
        form = await request.form
        session.append("notes", form["note"])
    return jsonify(user=session.user_id, notes=session.get("notes", []))


@app.post("/sign-out")
async def sign_out() -> AnyResponse:
    session.logout()
    return redirect("/notes", 303)
