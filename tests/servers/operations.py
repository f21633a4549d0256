"""What a client of ``tests/history.py`` asks for, done to a session."""

from __future__ import annotations

from fluidauth import Session


def step(session: Session, query: dict[str, str]) -> None:
    """Do one operation of a history; see ``tests/history.py``."""
    match query["kind"]:
        case "login":
            session.login(query["value"])
        case "logout":
            session.logout()
        case "regenerate":
            session.regenerate()
        case "set" if session.is_authenticated:
            session[query["key"]] = query["value"]
        case "add" if session.is_authenticated:
            session.add(query["key"])
        case "append" if session.is_authenticated:
            session.append(query["key"], query["value"])
