"""What a client of ``harness/history.py`` asks for, done to a session."""

from __future__ import annotations

from typing import Any

from fluidauth import Session, SessionEngine


def outside(engine: SessionEngine, query: dict[str, str], prefix: str = "") -> Any:
    """End sessions from outside, or with the prefix "a" return what is to be awaited for it; else None."""
    match query.get("kind"):
        case "revoke_user":
            return getattr(engine, f"{prefix}revoke_user")(query["value"])
        case "revoke_all":
            return getattr(engine, f"{prefix}revoke_all")()
    return None


def step(session: Session, query: dict[str, str]) -> None:
    """Do one operation of a history; see ``harness/history.py``."""
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
