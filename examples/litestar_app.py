"""Notes of those who are signed in, on Litestar: the session is a dependency.

    pip install fluidauth 'litestar[standard]'
    FLUIDAUTH_DEVELOPMENT=1 litestar --app-dir examples --app litestar_app:app run

Without FLUIDAUTH_DEVELOPMENT it needs FLUIDAUTH_SECRET, and https for its Secure cookie.
"""

from typing import Annotated, Any

from litestar import Litestar, Request, get, post
from litestar.di import Provide
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotAuthorizedException
from litestar.params import Body
from litestar.response import Redirect

from fluidauth import Session, SessionEngine
from fluidauth.integrations.litestar import FluidAuthSessionConfig, session_of

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


def current_session(request: Request[Any, Any, Any]) -> Session:
    return session_of(request)


def current_user(session: Session) -> str:
    if session.user_id is None:
        raise NotAuthorizedException("sign in first")
    return session.user_id


@get("/")
async def home(session: Session) -> dict[str, Any]:
    return {"hello": session.user_id}


@post("/sign-in")
async def sign_in(session: Session, data: Form) -> Redirect:
    # Here a real application compares a password.
    session.login(data["name"])
    return Redirect("/notes", status_code=303)


@get("/notes")
async def notes(session: Session, user: str) -> dict[str, Any]:
    return {"user": user, "notes": session.get("notes", [])}


@post("/notes")
async def add_note(session: Session, user: str, data: Form) -> dict[str, Any]:
    session.append("notes", data["note"])
    return {"user": user, "notes": session["notes"]}


@post("/sign-out")
async def sign_out(session: Session) -> Redirect:
    session.logout()
    return Redirect("/notes", status_code=303)


engine = SessionEngine()
app = Litestar(
    [home, sign_in, notes, add_note, sign_out],
    dependencies={
        "session": Provide(current_session, sync_to_thread=False),
        "user": Provide(current_user, sync_to_thread=False),
    },
    middleware=[FluidAuthSessionConfig(engine=engine).middleware],
)
