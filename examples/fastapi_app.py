"""Notes of those who are signed in, on FastAPI: the session is a typed parameter.

    pip install fluidauth fastapi python-multipart uvicorn
    FLUIDAUTH_DEVELOPMENT=1 uvicorn --app-dir examples fastapi_app:app

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Form, HTTPException
from fastapi.responses import RedirectResponse

from fluidauth import SessionEngine
from fluidauth.integrations.fastapi import CurrentSession
from fluidauth.integrations.starlette import SessionMiddleware

engine = SessionEngine()
app = FastAPI()
app.add_middleware(SessionMiddleware, engine=engine)


def current_user(session: CurrentSession) -> str:
    if session.user_id is None:
        raise HTTPException(401, "sign in first")
    return session.user_id


User = Annotated[str, Depends(current_user)]


@app.get("/")
def home(session: CurrentSession) -> dict[str, str | None]:
    return {"hello": session.user_id}


@app.post("/sign-in")
def sign_in(name: Annotated[str, Form()], session: CurrentSession) -> RedirectResponse:
    # Here a real application compares a password.
    session.login(name)
    return RedirectResponse("/notes", status_code=303)


@app.get("/notes")
def notes(user: User, session: CurrentSession) -> dict[str, object]:
    return {"user": user, "notes": session.get("notes", [])}


@app.post("/notes")
def add_note(note: Annotated[str, Form()], user: User, session: CurrentSession) -> dict[str, object]:
    session.append("notes", note)
    return {"user": user, "notes": session["notes"]}


@app.post("/sign-out")
def sign_out(session: CurrentSession) -> RedirectResponse:
    session.logout()
    return RedirectResponse("/notes", status_code=303)
